"""What keeps findings and lets readers follow them."""

from __future__ import annotations

STORES = {
    "ring": "tracewave_panel.stores.ring:RingStore",
    "duckdb": "tracewave_panel.stores.duckdb:DuckDBStore",
}
"""Name -> class."""
