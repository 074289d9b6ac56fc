"""Contract checks for adapters, those of your own too: give a factory, get an AssertionError in words.

What lives behind a port (:mod:`~tracewave_panel.ports`) or the detectors' protocol is exchangeable only as far as it
keeps the promises that the port's docstring makes. Each check here runs these promises, and nothing more, against
whatever a factory gives; call it from a test of the adapter. All that Tracewave ships goes through the same checks.
"""

from __future__ import annotations

from tracewave_panel.testing.buses import check_bus
from tracewave_panel.testing.detectors import check_detector
from tracewave_panel.testing.sources import check_source
from tracewave_panel.testing.stores import check_store
from tracewave_panel.testing.windows import ordinary_windows, plain_window

__all__ = ["check_bus", "check_detector", "check_source", "check_store", "ordinary_windows", "plain_window"]
