"""The Python API: recordings, history and live feeds as tables and plots, and the console in a notebook's cell."""

from tracewave_panel.sources.mapping import Mapping

from .explanation import Explanation
from .frame import Theme
from .past import Past, history
from .replaying import replay
from .run import Run
from .view import LiveView, live

__all__ = ["Explanation", "LiveView", "Mapping", "Past", "Run", "Theme", "history", "live", "replay"]
