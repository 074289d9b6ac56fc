"""Watch a live public feed, be told when something unusual happens, be told why, and check it yourself."""

from importlib.metadata import version

__all__ = ["__version__"]

__version__ = version("tracewave-panel")
