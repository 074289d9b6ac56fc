"""What a page may ask of the server beside looking: labels, and silence for notices."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, TypeVar

import msgspec

from tracewave_panel.model import LabelVerdict

from .notices import Silence

__all__ = ["Asked", "AskedBack", "AskedLabel", "AskedSilence", "AskedUndo", "asked_of", "back_of"]

T = TypeVar("T")
MuteName = Annotated[str, msgspec.Meta(max_length=1000)]


class Asked(msgspec.Struct, forbid_unknown_fields=True):
    """A press on an anomaly's card, by a number that the answer carries."""

    id: Annotated[str, msgspec.Meta(max_length=400)]
    number: int


class AskedLabel(Asked):
    """A label, or with None that it holds no longer."""

    verdict: LabelVerdict | None


class AskedSilence(Asked):
    """No notices of the episode or of its kind."""

    silence: Silence


class AskedUndo(Asked):
    """Notices again: the mute of this name is taken back."""

    undo: MuteName


class AskedBack(msgspec.Struct, forbid_unknown_fields=True):
    """A press in the list of mutes: this one is taken back."""

    undo: MuteName
    number: int


def asked_of(message: Any) -> Asked | None:
    """Read what a card's page says; None for what no page of ours says.

    >>> asked_of({"id": "edits-rate-1", "number": 1, "silence": "hour"})
    AskedSilence(id='edits-rate-1', number=1, silence='hour')
    >>> asked_of({"id": "edits-rate-1", "number": 1, "silence": "a year"})
    """
    return _read(message, AskedLabel) or _read(message, AskedSilence) or _read(message, AskedUndo)


def back_of(message: Any) -> AskedBack | None:
    """Read what the Health page says; None for what no page of ours says."""
    return _read(message, AskedBack)


def _read(message: Any, kind: type[T]) -> T | None:
    with suppress(msgspec.ValidationError):
        return msgspec.convert(message, kind)
    return None
