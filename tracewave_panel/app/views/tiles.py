"""Four tiles: what the feed does now, beside its last minutes."""

# mypy: allow-untyped-calls
# Panel and param type no constructor.

from __future__ import annotations

from typing import Any, ClassVar

import param
from panel.custom import JSComponent
from panel.viewable import Viewer

from tracewave_panel.app.theme import asset
from tracewave_panel.feeds import Feature, Feed

__all__ = ["Tiles"]

TILES = 4
HEADINGS = {
    "rate": ("Events a second", ""),
    "pages": ("Active pages", "a window"),
    "editors": ("Active editors", "a window"),
    "bot_share": ("Bot share", "%"),
}


class TileRow(JSComponent):
    """Figures and sparklines of the last windows; they are read from the page's own table."""

    tiles = param.List(item_type=dict)

    _esm = asset("components/tiles.js")
    _stylesheets: ClassVar[list[str]] = [asset("components/shared.css"), asset("components/tiles.css")]


class Tiles(Viewer):
    """The first four features of the feed, in its order."""

    def __init__(self, feed: Feed, **params: Any) -> None:
        super().__init__(**params)
        features = feed.features[:TILES]
        self._row = TileRow(tiles=[_tile(place, feature) for place, feature in enumerate(features)])

    def __panel__(self) -> TileRow:
        return self._row


def _tile(place: int, feature: Feature) -> dict[str, Any]:
    heading, unit = HEADINGS.get(feature.name, (feature.name.replace("_", " ").capitalize(), ""))
    share = feature.fold == "share"
    return {"feature": place, "heading": heading, "unit": unit, "share": share, "whole": feature.fold == "distinct"}
