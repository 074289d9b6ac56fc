"""What ``/metrics`` shows: Prometheus instruments behind one class that takes a registry."""

from __future__ import annotations

from .families import CONTENT_TYPE, FAMILIES, PREFIX, Family
from .figures import Figures, Key
from .histogram import Histogram
from .instruments import Metrics
from .labels import OTHER
from .tally import Tally

__all__ = ["CONTENT_TYPE", "FAMILIES", "OTHER", "PREFIX", "Family", "Figures", "Histogram", "Key", "Metrics", "Tally"]
