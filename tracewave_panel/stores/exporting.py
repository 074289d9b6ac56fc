"""Tables of a history as Parquet, by UTC day, in bounded memory and through whoever has the history open.

Rows are asked for in slices of time, each a SELECT of its own. A slice that holds more than is taken at
once goes on behind the last row's key, so that a second with any number of rows neither loses nor
doubles one. What is written of a window while it is told again is either telling, never both.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from tracewave_panel.errors import ConfigError, QueryError
from tracewave_panel.stores.asking import answering
from tracewave_panel.stores.parquet_files import Described, ParquetFiles

__all__ = ["KINDS", "Exported", "export"]

_TIMEOUT = 30.0
_PATIENCE = 120.0  # seconds for which a server that says that it is busy is asked again
_FEWEST = 50
_LONGEST_STEP = 366 * 86_400_000_000
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)

_ANOMALIES = """
    SELECT anomalies.*, labels.verdict AS label, labels.labelled_at, labels."by" AS labelled_by,
           coalesce(explained.contributions, []) AS contributions
    FROM anomalies
    LEFT JOIN labels ON labels.anomaly_id = anomalies.id
    LEFT JOIN (
        SELECT anomaly_id, list({rank: rank, dimension: dimension, value: value, observed: observed,
                                 expected: expected, share: share, significance: significance, named: named,
                                 samples: samples} ORDER BY rank) AS contributions
        FROM contributions GROUP BY anomaly_id
    ) AS explained ON explained.anomaly_id = anomalies.id
"""


class Kind(NamedTuple):
    """What can be exported: its rows, the column of their time, and the columns that with it are their key."""

    select: str
    time: str
    key: tuple[str, ...]
    at_once: int


KINDS = {
    "windows": Kind("FROM windows", "start", ("series",), 50_000),
    "metrics": Kind("FROM metrics", "start", ("series", "metric"), 50_000),
    "scores": Kind("FROM scores", "start", ("series", "metric", "detector"), 100_000),
    "dimension_counts": Kind("FROM dimension_counts", "start", ("series", "dimension", "value"), 100_000),
    "events": Kind("FROM events", "time", ("series", "id", "told"), 50_000),
    "anomalies": Kind(_ANOMALIES, "opened", ("id",), 5_000),
}
"""By name, which is that of the table."""

_COMMENTS_OF = {"anomalies": ("anomalies", "labels", "contributions")}
_COMMENTS = {
    "label": "what a person said of it: real or not_real; NULL: nothing",
    "labelled_by": "who said so, as far as that is known",
    "contributions": "what explains it, at its peak, the strongest first",
}
_LEFT_OUT = "told"


class Exported(NamedTuple):
    """What was written, and in words whose history it is."""

    rows: int
    files: tuple[Path, ...]
    by: str


def export(
    place: str | Path,
    kind: str,
    target: Path,
    *,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    overwrite: bool = False,
    token: str = "",
    at_once: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Exported:
    """Write what of one kind has a time within ``[since, until)``.

    Parameters
    ----------
    place, token
        As of :func:`~tracewave_panel.stores.asking.ask_history`.
    kind
        One of :data:`KINDS`.
    target
        A file whose name ends in ``.parquet``, or a folder, which gets one file a UTC day.
    since, until
        Aware datetimes; None is all there is.
    at_once
        Rows of a slice at most; None is what suits the kind.
    progress
        Told how many rows are written, and how many there are.

    Raises
    ------
    ConfigError
        When the range is none, or files are in the way and not to be replaced.
    StoreError
        When history cannot be asked, or the files cannot be written.
    """
    first, end = _micros(since), _micros(until)
    if first is not None and end is not None and first >= end:
        raise ConfigError("--since must be before --to, which is the first moment that is left out")
    ask = _Asking(place, token)
    chosen = KINDS[kind]
    count, lowest, highest = ask.row(
        f'SELECT count(*), epoch_us(min("{chosen.time}")), epoch_us(max("{chosen.time}")) FROM "{kind}"'  # noqa: S608 - our own
        f" WHERE {_within(chosen.time, first, end)}"
    )
    described = Described(kind, chosen.time, _described(ask, kind), ask.meta())
    with ParquetFiles(target, described, overwrite=overwrite) as files:
        if count:
            files.refuse_existing(lowest, highest)
        done = 0
        most = at_once or chosen.at_once
        for table in _slices(ask, chosen, lowest, highest + 1, count, most) if count else [_nothing(ask, chosen)]:
            files.write(table)
            done += table.num_rows
            if progress:
                progress(done, max(count, done))
        return Exported(done, files.finish(), ask.by)


class _Asking:
    """Asks one history, again and again."""

    def __init__(self, place: str | Path, token: str) -> None:
        self._place = place
        self._token = token
        self.by = ""

    def __call__(self, sql: str, max_rows: int = 10_000) -> pa.Table:
        with answering(
            self._place, sql, max_rows=max_rows, timeout=_TIMEOUT, token=self._token, patience=_PATIENCE
        ) as answer:
            self.by = answer.by
            return answer.rows.read_all()

    def row(self, sql: str) -> tuple[int, int, int]:
        a, b, c = (column[0].as_py() for column in self(sql).columns)
        return a, b, c

    def meta(self) -> dict[str, str]:
        table = self("SELECT key, value FROM meta")
        return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))


def _slices(ask: _Asking, kind: Kind, low: int, end: int, count: int, at_once: int) -> Iterator[pa.Table]:
    step = max(1, (end - low) * at_once // (2 * count))
    after: Sequence[object] | None = None
    while low < end:
        high = min(end, low + step)
        try:
            table = ask(_slice(kind, low, high, after, at_once), at_once)
        except QueryError:
            if at_once <= _FEWEST:
                raise
            at_once, step = max(_FEWEST, at_once // 8), max(1, step // 8)  # too large for one answer, or too slow
            continue
        if table.num_rows == at_once:
            last = table.slice(table.num_rows - 1)
            low = last.column(kind.time).cast(pa.int64())[0].as_py()
            after = [last.column(name)[0].as_py() for name in kind.key]
            step = max(1, step // 2)
        else:
            low, after = high, None
            if table.num_rows * 4 < at_once:
                step = min(step * 4, _LONGEST_STEP)
        if table.num_rows:
            yield _told(table)


def _nothing(ask: _Asking, kind: Kind) -> pa.Table:
    return _told(ask(_slice(kind, 0, 0, None, 1)))


def _slice(kind: Kind, low: int, high: int, after: Sequence[object] | None, limit: int) -> str:
    order = ", ".join(f'"{name}"' for name in (kind.time, *kind.key))
    behind = ""
    if after is not None:
        behind = f" AND ({order}) > ({_moment(low)}, {', '.join(map(_literal, after))})"
    return (
        f"SELECT * FROM ({kind.select}) WHERE {_within(kind.time, low, high)}{behind}"  # noqa: S608 - our own, and quoted
        f" ORDER BY {order} LIMIT {limit}"
    )


def _told(table: pa.Table) -> pa.Table:
    return table.drop_columns([_LEFT_OUT]) if _LEFT_OUT in table.column_names else table


def _within(time: str, low: int | None, high: int | None) -> str:
    bounds = [f'"{time}" {sign} {_moment(at)}' for sign, at in ((">=", low), ("<", high)) if at is not None]
    return " AND ".join([f'isfinite("{time}")', *bounds])


def _moment(micros: int) -> str:
    return f"make_timestamptz({micros})"


def _literal(value: object) -> str:
    if isinstance(value, int):
        return str(value)
    quoted = "'" + str(value).replace("'", "''") + "'"
    return "(" + quoted.replace("\x00", "' || chr(0) || '") + ")"  # no SQL holds that character itself


def _micros(moment: dt.datetime | None) -> int | None:
    return None if moment is None else (moment - _EPOCH) // dt.timedelta(microseconds=1)


def _described(ask: _Asking, kind: str) -> dict[str, str]:
    """What each column means."""
    comments: dict[str, str] = {}
    for table in reversed(_COMMENTS_OF.get(kind, (kind,))):
        rows = ask(f"SELECT column_name, comment FROM duckdb_columns() WHERE table_name = '{table}'")  # noqa: S608 - our own
        comments |= {name: said for name, said in zip(*(c.to_pylist() for c in rows.columns), strict=True) if said}
    return comments | (_COMMENTS if kind == "anomalies" else {})
