"""What carries batches from a source to the graph."""

BUSES = {"memory": "tracewave_panel.buses.memory:MemoryBus"}
"""Name in settings -> class."""
