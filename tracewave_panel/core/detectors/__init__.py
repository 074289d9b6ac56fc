"""One file a detector; :mod:`~tracewave_panel.core.detectors.base` has the protocol they fulfil."""
