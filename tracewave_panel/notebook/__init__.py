"""The console inside a notebook's cell."""

from .frame import Theme
from .view import LiveView, live

__all__ = ["LiveView", "Theme", "live"]
