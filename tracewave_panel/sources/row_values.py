"""Values of foreign rows as text, numbers and moments, by rules that are written down.

Text: true and false as those words, whole numbers without a point, others as Python writes them; spaces at both ends
go, what UTF-8 cannot hold becomes U+FFFD. Null, NaN, the empty text and an absent field are all *blank*.

Numbers: JSON numbers, true and false as 1 and 0, and text such as ``-12.5`` or ``3e4``. No infinity, no ``1,5``,
nothing beyond 1e15 on either side.

Moments: see :func:`moment_of`.
"""

from __future__ import annotations

import difflib
import math
import re
from collections import abc
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any, Literal

import msgspec

__all__ = ["Path", "TimeFormat", "is_blank", "moment_of", "nearest", "number_of", "path_of", "text_of", "value_at"]

TimeFormat = Literal["auto", "iso", "seconds", "milliseconds", "microseconds", "nanoseconds"]

_number = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_not_text = re.compile("[\0\ud800-\udfff]")
_LARGEST = 1e15
_LAST = 7_258_118_400.0  # 2200-01-01
_UNITS = {"seconds": 1.0, "milliseconds": 1e-3, "microseconds": 1e-6, "nanoseconds": 1e-9}
_LEAST_IN_AUTO = 1e8  # of seconds: March 1973; each unit begins where the one before ends
_SHOWN = 60


class Path(msgspec.Struct, frozen=True, gc=False):
    """Where a value stands in a row: a field of that very name, else one level down at each dot."""

    name: str
    parts: tuple[str, ...]


def path_of(name: str) -> Path:
    """A path from ``user.country`` or ``tags.0``."""
    return Path(name, tuple(name.split(".")) if "." in name else ())


def value_at(row: abc.Mapping[str, Any], path: Path) -> Any:
    """The value there; None where there is none.

    >>> value_at({"user": {"tags": ["a", "b"]}}, path_of("user.tags.1"))
    'b'
    """
    if path.name in row:
        return row[path.name]
    value: Any = row if path.parts else None
    for part in path.parts:
        if isinstance(value, abc.Mapping):
            value = value.get(part)
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def is_blank(value: Any) -> bool:
    """Whether a value says nothing."""
    return value is None or (isinstance(value, str) and not value.strip()) or value != value  # noqa: PLR0124 (NaN, NaT)


def text_of(value: Any, limit: int) -> str:
    """A value as text of at most `limit` characters; empty when it is blank.

    Raises
    ------
    ValueError
        When it is a list or an object.

    Examples
    --------
    >>> text_of(3.0, 10), text_of(True, 10), text_of(None, 10), text_of("abcdefgh", 5)
    ('3', 'true', '', 'abcd…')
    """
    if not isinstance(value, str):
        value = _as_text(value)
    text: str = value.strip()
    if not text.isascii() or "\0" in text:
        text = _not_text.sub("\ufffd", text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _as_text(value: Any) -> str:
    value = _plain(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, abc.Mapping | list | tuple | set):
        what = "an object" if isinstance(value, abc.Mapping) else "a list"
        raise ValueError(f"{what}, where one value is wanted; name what is inside it with a dot, such as user.country")  # noqa: TRY004
    if is_blank(value):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) <= _LARGEST:
        return str(int(value))
    if isinstance(value, int) and abs(value) > 10**40:
        raise ValueError("a number of over 40 digits")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _plain(value: Any) -> Any:
    """A NumPy scalar as the value of Python that it holds."""
    if type(value).__module__ == "numpy" and hasattr(value, "item"):
        return value.item() if not hasattr(value, "astype") or value.dtype.kind not in "mM" else _nanoseconds(value)
    return value


def _nanoseconds(value: Any) -> Any:
    return None if value != value else datetime.fromtimestamp(value.astype("datetime64[us]").astype(int) / 1e6, UTC)  # noqa: PLR0124


def number_of(value: Any) -> float:
    """A value as a number.

    Raises
    ------
    ValueError
        When it is none, in words.

    Examples
    --------
    >>> number_of("-12.5"), number_of(True)
    (-12.5, 1.0)
    """
    value = _plain(value)
    if is_blank(value):
        raise ValueError("there is no value")
    if isinstance(value, str):
        if not _number.fullmatch(value.strip()):
            raise ValueError(f"{_shown(value)} is no number")
        value = value.strip()
    elif isinstance(value, abc.Mapping | list | tuple | set):
        raise ValueError(f"{_shown(value)} is no number; name what is inside it with a dot")  # noqa: TRY004
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"{_shown(value)} is no number") from None
    if not abs(number) <= _LARGEST:
        raise ValueError(f"{_shown(value)} is beyond what can be added up (1e15)")
    return number


def moment_of(value: Any, form: TimeFormat = "auto") -> float:
    """Seconds since the epoch, UTC, from 1970 to 2199.

    A number, also as text, is in the unit that `form` names. With ``auto`` its size tells: from 1e8 it is seconds, from
    1e11 milliseconds, from 1e14 microseconds, from 1e17 nanoseconds, which are the years from 1973 on in each; a
    smaller one is refused, for it could be anything. Other text is an ISO time; without a zone it is UTC.

    Raises
    ------
    ValueError
        When it is no such moment, in words.

    Examples
    --------
    >>> moment_of("2026-01-01T01:00:00+01:00"), moment_of(1767225600000), moment_of("1767225600.5")
    (1767225600.0, 1767225600.0, 1767225600.5)
    >>> moment_of(17, "seconds")
    17.0
    """
    value = _plain(value)
    if is_blank(value):
        raise ValueError("there is no value")
    if isinstance(value, bool):
        raise ValueError(f"{_shown(value)} is no time")  # noqa: TRY004
    if isinstance(value, date):
        return _in_range(_seconds(value), value)
    text = value.strip() if isinstance(value, str) else ""
    if isinstance(value, int | float) or (form != "iso" and _number.fullmatch(text)):
        if form == "iso":
            raise ValueError(f"{_shown(value)} is a number, and time_format is iso")
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        return _in_range(_from_number(number, form, value), value)
    if form not in {"auto", "iso"}:
        raise ValueError(f"{_shown(value)} is no number of {form}")
    try:
        return _in_range(_seconds(datetime.fromisoformat(text)), value)
    except (ValueError, OverflowError):
        raise ValueError(f"{_shown(value)} is no time; write it as 2026-01-31T12:00:00Z") from None


def _from_number(number: float, form: TimeFormat, value: Any) -> float:
    if form != "auto":
        return number * _UNITS[form] if form == "seconds" else number / round(1 / _UNITS[form])
    if not _LEAST_IN_AUTO <= number < math.inf:
        raise ValueError(f"{_shown(value)} could be in any unit; say time_format, such as seconds")
    for unit, scale in _UNITS.items():
        if number * scale < 1000 * _LEAST_IN_AUTO or unit == "nanoseconds":
            return number / round(1 / scale)
    raise AssertionError


def _seconds(moment: date) -> float:
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _in_range(seconds: float, value: Any) -> float:
    if not 0 <= seconds < _LAST:
        raise ValueError(f"{_shown(value)} is not between 1970 and 2199; check time_format")
    return seconds


def _shown(value: Any) -> str:
    """Part of a value for a message, on one line."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no number of over 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def nearest(name: str, known: Iterable[str]) -> str:
    """Words on which of some names was meant: the nearest, else all of them.

    >>> nearest("contry", ["country", "city"])
    'did you mean country?'
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"there are {', '.join(known) or 'none'}"
