"""A component whose page sends messages."""

# mypy: allow-untyped-calls
# Panel types no constructor.

from __future__ import annotations

from typing import Any

from bokeh.document import Document
from panel.custom import JSComponent

__all__ = ["AskingComponent"]


class AskingComponent(JSComponent):
    """Takes messages under the document's lock, which Panel does not hold by itself.

    Without it a message that comes within the moment in which other components' changes wait to be sent is lost.
    """

    __abstract = True

    async def _event_coroutine(self, doc: Document, event: Any) -> None:
        await super()._event_coroutine(doc, event)

    _event_coroutine.lock = True  # type: ignore[attr-defined]  # read by Panel
