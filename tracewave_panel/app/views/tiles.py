"""Four tiles: what the feed does now, beside its last minutes, held against the last hour."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.last_hour import Usual
from tracewave_panel.app.theme import asset
from tracewave_panel.feeds import Feature, Feed

__all__ = ["Tiles"]

TILES = 4
DIGITS = 4
HEADINGS = {"pages": "Active pages", "editors": "Active editors"}
KINDS = {"rate": "rate", "distinct": "whole", "share": "share", "mean_abs": "rate", "sum": "sum", "last": "price"}


class TileRow(JSComponent):
    """Figures and sparklines of the last windows, which are read from the page's own table."""

    tiles = param.List(item_type=dict)
    usual = param.String(default="{}", doc="JSON of seconds and, by feature, median, low and high.")

    _esm = asset("components/tiles.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/tiles.css")]


class Tiles(Viewer):
    """The first four features of the feed, in its order."""

    def __init__(self, feed: Feed, **params: Any) -> None:
        super().__init__(**params)
        self._names = tuple(feature.name for feature in feed.features[:TILES])
        self._told: Usual | None = None
        self._row = TileRow(tiles=[_tile(feed, place, feature) for place, feature in enumerate(feed.features[:TILES])])

    def tell(self, usual: Usual) -> None:
        """Say what the last hour usually brought; sends nothing when no shown digit changed."""
        if usual is self._told:
            return
        self._told = usual
        figures = {
            name: [_rounded(each) for each in (typical.median, typical.low, typical.high)]
            for name in self._names
            if (typical := usual.features.get(name))
        }
        # Whole minutes, so that the length alone asks for one message a minute.
        seconds = usual.seconds if usual.seconds < 60 else usual.seconds // 60 * 60
        self._row.usual = msgspec.json.encode(
            {"seconds": seconds, "whole": usual.whole, "features": figures}, order="sorted"
        ).decode()

    def __panel__(self) -> TileRow:
        return self._row


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}") if abs(value) < 10**DIGITS else float(round(value))


def _tile(feed: Feed, place: int, feature: Feature) -> dict[str, Any]:
    kind = KINDS[feature.fold]
    metric = next((metric for metric in feed.metrics if metric.feature == feature.name), None)
    heading = HEADINGS.get(feature.name, feature.name.replace("_", " ").capitalize())
    unit = "%" if kind == "share" else ""
    if feature.fold == "rate":
        heading = f"{metric.unit.removesuffix('/s').capitalize() if metric else 'Events'} a second"
    elif kind == "price" and metric:
        unit = metric.unit
    return {"feature": place, "name": feature.name, "heading": heading, "unit": unit, "kind": kind}
