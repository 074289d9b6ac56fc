"""What the Explore page may ask of the server."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, TypeVar

import msgspec

from .files import Form

__all__ = ["AskedAnomaly", "AskedCancel", "AskedFile", "AskedRun", "AskedSchema", "asked_of"]

T = TypeVar("T")
MOST_SQL = 100_000


class AskedRun(msgspec.Struct, forbid_unknown_fields=True):
    """Run a SELECT; the answer carries the number."""

    run: Annotated[str, msgspec.Meta(max_length=MOST_SQL)]
    number: int


class AskedCancel(msgspec.Struct, forbid_unknown_fields=True):
    """Stop the run of that number."""

    cancel: int


class AskedFile(msgspec.Struct, forbid_unknown_fields=True):
    """The answer to that number as a file."""

    file: Form
    number: int


class AskedAnomaly(msgspec.Struct, forbid_unknown_fields=True):
    """The query of one anomaly, and what to say of it."""

    anomaly: Annotated[str, msgspec.Meta(max_length=400)]


class AskedSchema(msgspec.Struct, forbid_unknown_fields=True):
    """Names of the tables and columns, and how many rows."""

    schema: bool


Asked = AskedRun | AskedCancel | AskedFile | AskedAnomaly | AskedSchema


def asked_of(message: Any) -> Asked | None:
    """Read what the page says; None for what no page of ours says.

    >>> asked_of({"cancel": 3})
    AskedCancel(cancel=3)
    >>> asked_of({"cancel": "all"})
    """
    return (
        _read(message, AskedRun)
        or _read(message, AskedCancel)
        or _read(message, AskedFile)
        or _read(message, AskedAnomaly)
        or _read(message, AskedSchema)
    )


def _read(message: Any, kind: type[T]) -> T | None:
    with suppress(msgspec.ValidationError):
        return msgspec.convert(message, kind)
    return None
