"""What comes in: queries and bodies, as strict as their OpenAPI schemas."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from fastapi import Request
from msgspec import Meta, Struct

from tracewave_panel.api.problems import FaultForm, RefusalError
from tracewave_panel.model import LabelVerdict, Severity

__all__ = [
    "AnomalyQuery",
    "HealthQuery",
    "LabelOrder",
    "MuteOrder",
    "RangeQuery",
    "SqlOrder",
    "WindowQuery",
    "read_body",
    "read_query",
]

T = TypeVar("T")

_IN_WORDS = {
    "^Invalid enum value.*": "is none of the words that are listed there",
    "^Object contains unknown field (`.*`)": r"\1 is not known here",
    "^Invalid RFC3339 encoded datetime": "is no time such as 2026-01-02T03:04:05Z; in an address + is written %2B",
    "^Expected `datetime` with a timezone component": "has no zone; write it as 2026-01-02T03:04:05Z",
}
"""Patterns of what msgspec says, and how it is told."""

_NAME = 200  # characters of a name
_Cursor = Annotated[
    str,
    Meta(max_length=400, pattern="^[A-Za-z0-9_-]*$", description="What an earlier answer gave; empty: the beginning."),
]
_Limit = Annotated[int, Meta(ge=1, le=1000, description="How many items at most.")]
_Since = Annotated[datetime, Meta(tz=True, description="From this time on; ISO 8601 with zone.")]
_Until = Annotated[datetime, Meta(tz=True, description="Before this time; ISO 8601 with zone.")]
_Series = Annotated[str, Meta(max_length=_NAME, description="Only of this series.")]
_Text = Annotated[str, Meta(max_length=_NAME, pattern="^[^\\x00-\\x1f\\x7f]*$")]


class RangeQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """A stretch of time."""

    limit: _Limit = 100
    since: _Since | None = None
    until: _Until | None = None


class WindowQuery(RangeQuery, frozen=True, forbid_unknown_fields=True):
    """Windows that start within a stretch of time."""

    cursor: _Cursor = ""
    series: _Series = ""


class AnomalyQuery(WindowQuery, frozen=True, forbid_unknown_fields=True):
    """Anomalies that opened within a stretch of time."""

    severity: Annotated[Severity, Meta(description="Of at least this severity.")] = Severity.NONE
    open: (
        Annotated[Literal["true", "false"], Meta(description="Only those still open, or only closed ones.")] | None
    ) = None


class HealthQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked: live is 200 as long as the process answers, ready is 503 with reasons where it cannot serve."""

    probe: Annotated[Literal["live", "ready"], Meta(description="Whether it answers, or can be relied on.")] = "ready"


class LabelOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """A person's word on an anomaly. By is who says it; where tokens are asked it is the token's name."""

    verdict: LabelVerdict
    by: _Text = ""


class MuteOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """Silence for notices of what it names; what is left out stands for every one.

    It ends at until, or after so many seconds, or, without either, when it is taken back.
    """

    until: Annotated[datetime, Meta(tz=True)] | None = None
    seconds: Annotated[float, Meta(gt=0, le=31_536_000)] | None = None
    anomaly_id: _Text = ""
    series: _Text = ""
    metric: _Text = ""
    kind: Literal["", "rate_up", "rate_down", "mix_shift", "feed_silent"] = ""
    by: _Text = ""


class SqlOrder(Struct, frozen=True, forbid_unknown_fields=True):
    """One SELECT; it is stopped after timeout seconds, and refused when it gives more than max_rows rows."""

    sql: Annotated[str, Meta(min_length=1, max_length=100_000)]
    max_rows: Annotated[int, Meta(ge=1, le=100_000)] = 10_000
    timeout: Annotated[float, Meta(gt=0, le=30)] = 10.0


def read_query(kind: type[T], request: Request) -> T:
    """Query of a request as a struct.

    Raises
    ------
    RefusalError
        With 422 when a name is unknown or given twice, or a value is not as described.
    """
    values: dict[str, object] = {}
    for name, text in request.query_params.multi_items():
        if name in values:
            raise _not_as_described(FaultForm(f"query.{name}", "is given twice; give it once"))
        values[name] = int(text) if re.fullmatch("-?[0-9]{1,18}", text) and name == "limit" else text
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        raise _not_as_described(_fault("query", error)) from None


def read_body(kind: type[T], request: Request) -> T:
    """JSON body of a request, which the door has taken in whole.

    Raises
    ------
    RefusalError
        With 400 when it is no JSON, and with 422 when it is not as described.
    """
    try:
        return msgspec.json.decode(request.state.body, type=kind)
    except msgspec.ValidationError as error:
        raise _not_as_described(_fault("body", error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RefusalError(400, "the body is not JSON in UTF-8; send one object as under /docs") from None


def _fault(part: str, error: msgspec.ValidationError) -> FaultForm:
    what, _, where = str(error).partition(" - at `$")
    # enumerations repeat what was sent, and a token in the wrong place is a secret all the same
    for pattern, words in _IN_WORDS.items():
        what = re.sub(pattern, words, what, flags=re.DOTALL)
    return FaultForm(part + where.rstrip("`"), what)


def _not_as_described(fault: FaultForm) -> RefusalError:
    detail = f"the request is not as described under /docs: {fault.where}: {fault.what}"
    return RefusalError(422, detail, errors=(fault,))
