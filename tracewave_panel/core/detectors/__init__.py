"""One file a detector; :mod:`~tracewave_panel.core.detectors.base` has the protocol they fulfil."""

from __future__ import annotations

DETECTORS = {
    "zscore": "tracewave_panel.core.detectors.zscore:ZScore",
    "ewma": "tracewave_panel.core.detectors.ewma:EwmaChart",
    "trees": "tracewave_panel.core.detectors.half_space_trees:HalfSpaceTrees",
    "novelty": "tracewave_panel.core.detectors.novelty:Novelty",
    "seasonal": "tracewave_panel.core.detectors.seasonal:Seasonal",
}
"""Name in settings -> class. A detector is added by its file and one line here."""

NEEDS = {"trees": "river"}
"""Name in settings -> package that the detector cannot do without."""
