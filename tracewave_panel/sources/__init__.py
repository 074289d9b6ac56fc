"""Where batches come from: one file a feed, and the parts they share."""

from __future__ import annotations

SOURCES = {
    "wikimedia": "tracewave_panel.sources.wikimedia:WikimediaSource",
    "recording": "tracewave_panel.sources.replay:RecordingSource",
    "synthetic": "tracewave_panel.sources.synthetic:SyntheticSource",
    "own": "tracewave_panel.sources.own:OwnSource",
}
"""Name in ``--source`` -> class."""
