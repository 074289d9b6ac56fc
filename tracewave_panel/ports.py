"""The seams of the system. Adapters fulfil them; nothing above knows which adapter it has.

Every port has an in-memory sibling that production uses too: :class:`~tracewave_panel.buses.memory.MemoryBus`
and :class:`~tracewave_panel.stores.ring.RingStore`.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, runtime_checkable

import msgspec

from tracewave_panel.feeds import Feed
from tracewave_panel.model import Analysis, Anomaly, Batch, Event, Findings, Label, LabelVerdict, Mark, Mute, Origin

__all__ = [
    "Archive",
    "Bus",
    "Console",
    "Control",
    "FeedState",
    "History",
    "Page",
    "RouteStatus",
    "SavedState",
    "Source",
    "SourceStatus",
    "Store",
    "Table",
]

T = TypeVar("T")


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Items in the order they were appended, and the cursor to ask for what follows.

    `missed` counts items between the given cursor and the first item here that the store no
    longer holds; a reader that cares says so.
    """

    items: tuple[T, ...]
    cursor: int
    missed: int = 0


class FeedState(msgspec.Struct, frozen=True):
    """The word and the note that a page may show about the connection."""

    word: str
    note: str = ""
    since: float = 0.0


class SourceStatus(msgspec.Struct, frozen=True):
    """What a running source says about itself; read from other threads at any time.

    Attributes
    ----------
    state
        ``connecting``, ``live``, ``catching_up``, ``reconnecting``, ``gap``, ``replay``, ``ended``,
        with words on why.
    counters
        Named totals since the start, among them ``events``, ``undecodable``, ``duplicates``,
        ``reconnects``, ``canaries``, ``skipped``.
    lag
        Median seconds from occurrence to arrival, if the source knows it.
    notice
        What a page says at its top for as long as it holds, such as why this is not the live feed.
    """

    state: FeedState
    counters: dict[str, int]
    lag: float | None = None
    notice: str = ""


class SavedState(msgspec.Struct, frozen=True):
    """A State as a store returns it: the core's bytes and the source position they belong to."""

    saved_at: float
    watermark: float
    position: bytes
    state: bytes


@runtime_checkable
class Source(Protocol):
    """Where batches come from.

    It does not promise to end, to be restartable after its iterator was closed, or to lose
    nothing: what it knows to be lost it marks as ``gap``.
    """

    @property
    def origin(self) -> Origin:
        """Live, imported or simulated."""
        ...

    def batches(self, position: bytes = b"") -> AsyncGenerator[Batch, None]:
        """Iterate over batches from `position` (from now, or from the start, when empty).

        Closing the iterator (``aclose``) releases every connection within a second.

        Raises
        ------
        FeedError
            When the feed cannot be used at all and trying again would not help.
        """
        ...

    async def stop(self) -> None:
        """Ask the iterator to end soon after one last batch that carries a position."""
        ...

    def status(self) -> SourceStatus:
        """Say how things stand; safe to call from any thread."""
        ...


class Bus(Protocol):
    """Carries batches from a source to the graph.

    It does not promise that every event arrives: a live bus that is full sheds the oldest
    events and says how many in ``Batch.dropped``. Watermarks, marks and positions are never shed.
    """

    async def publish(self, batch: Batch) -> None:
        """Hand over a batch; may wait when the bus blocks instead of shedding."""
        ...

    def subscribe(self) -> AsyncIterator[Batch]:
        """Iterate over batches in the order they were published, until the bus is closed."""
        ...

    async def acknowledge(self, batch: Batch) -> None:
        """Say that everything up to and with `batch` is dealt with and need not be delivered again."""
        ...

    async def close(self) -> None:
        """End the subscription once what was published has been delivered."""
        ...


class RouteStatus(msgspec.Struct, frozen=True):
    """How one route of notices stands.

    Attributes
    ----------
    sent, failed, given_up, held
        Notices that arrived, tries that failed, notices that were let go after too many tries, and
        notices that a mute, the rate limit or the time of day held back, since the start.
    waiting
        Notices that are still to be sent.
    last_sent
        When one last arrived, in epoch seconds.
    last_error
        Why the last try failed, without secrets; empty when it did not.
    """

    name: str
    sent: int = 0
    failed: int = 0
    given_up: int = 0
    held: int = 0
    waiting: int = 0
    last_sent: float | None = None
    last_error: str = ""


class Store(Protocol):
    """Keeps findings, and lets readers follow them by cursor.

    It does not promise that an append is on disk when it returns, nor that old items are kept
    for ever; :attr:`Page.missed` says what a slow reader lost.
    """

    def append(self, findings: Findings) -> None:
        """Keep what one batch gave. Keys that were written before are written again (upsert)."""
        ...

    def analyses(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Analysis]:
        """Analyses appended after the cursor, of windows that start within ``[since, until)``."""
        ...

    def anomalies(
        self, after: int = 0, limit: int = 1000, *, since: float | None = None, until: float | None = None
    ) -> Page[Anomaly]:
        """Tellings appended after the cursor, of anomalies opened within ``[since, until)``; an id's last one holds."""
        ...

    def anomaly(self, anomaly_id: str) -> Anomaly | None:
        """Last telling of one anomaly, or None when the store does not hold it."""
        ...

    def gaps(self, *, since: float | None = None, until: float | None = None) -> tuple[Mark, ...]:
        """Stretches that the feed did not deliver and that overlap ``[since, until)``, oldest first, each once."""
        ...

    def events(self, after: int = 0, limit: int = 1000) -> Page[Event]:
        """Raw events appended after the cursor."""
        ...

    def save_state(self, saved: SavedState) -> None:
        """Keep a State; it becomes durable together with every append before it."""
        ...

    def load_state(self) -> SavedState | None:
        """Return the newest State, or None."""
        ...

    def label(self, label: Label) -> None:
        """Keep a person's word on an anomaly, in place of the one before.

        Like an append it may become durable later. It stays when the anomaly is told again or let
        go; how many labels a store keeps, and that another process sees them, is not promised.

        Raises
        ------
        StoreError
            When the store knows no such anomaly, or cannot hold the label's text.
        """
        ...

    def unlabel(self, anomaly_id: str, at: float) -> None:
        """Take back a label that was given at or before `at`; without one nothing happens."""
        ...

    def labels(self) -> tuple[Label, ...]:
        """Labels that hold, one an anomaly, in the order in which they were given; those just given among them.

        It does not promise that the store still holds their anomalies.
        """
        ...

    def close(self) -> None:
        """Make everything durable and release the store. Further calls raise StoreError."""
        ...


class Control(Protocol):
    """What a page may ask of a running pipeline; safe from any thread.

    It does not promise that two answers belong to the same moment.
    """

    @property
    def origin(self) -> Origin:
        """Where the events on the page come from at this moment."""
        ...

    @property
    def run(self) -> int:
        """Number of the present run. When another one begins, the store begins anew: readers start over."""
        ...

    @property
    def detectors(self) -> tuple[str, ...]:
        """Names of the detectors that judge, in the order of their scores."""
        ...

    def source_status(self) -> SourceStatus:
        """What the source says about itself."""
        ...

    @property
    def archive(self) -> Archive:
        """Store with the longest memory: history on disk where it is kept, else what pages read."""
        ...

    def label(self, anomaly_id: str, verdict: LabelVerdict | None, by: str = "") -> None:
        """Say that an anomaly is real or not; None takes that back.

        Raises
        ------
        StoreError
            When there is no such anomaly, or it cannot be kept.
        """
        ...

    def labels(self) -> Mapping[str, Label]:
        """Labels that hold, by the anomaly's id; that their anomalies are still held is not promised."""
        ...

    def mute(self, mute: Mute) -> None:
        """Send no notices of what it names, for as long as it holds; one with the same id is replaced.

        Raises
        ------
        StoreError
            When it cannot be kept.
        """
        ...

    def unmute(self, mute_id: str) -> None:
        """Take a mute back; without one nothing happens."""
        ...

    def mutes(self) -> tuple[Mute, ...]:
        """Mutes that hold at this moment, in the order in which they were given."""
        ...

    def routes(self) -> tuple[RouteStatus, ...]:
        """How each route of notices stands, in the order of the settings."""
        ...

    def counters(self) -> dict[str, int]:
        """Totals of the pipeline: ``events``, ``windows``, ``late``, ``dropped``, ``store_failures``, ..."""
        ...

    def gauges(self) -> dict[str, float]:
        """Measured figures of this run; one that is not known is left out.

        ``started`` (epoch seconds), ``window_ms_median``, ``window_ms_p99``, ``buffer_depth``,
        ``buffer_capacity``, ``commits``, ``commit_ms_median``, ``commit_ms_p99``, ``store_bytes``,
        ``gaps``, ``gap_seconds``, ``anomalies``, ``fired_`` and a detector, ...
        """
        ...


class Table(msgspec.Struct, frozen=True):
    """Rows of a query, with the columns' names."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Any, ...]]


class History(Protocol):
    """Questions about the past. It does not promise to see the last second."""

    def query(
        self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, cancelled: threading.Event | None = None
    ) -> Table:
        """Run one SELECT, or until `cancelled` is set.

        Raises
        ------
        QueryError
            When the SQL is wrong, not a single SELECT, takes longer than `timeout` seconds, or was cancelled.
        StoreError
            When no history is kept, or it cannot be read.
        """
        ...

    def query_arrow(
        self, sql: str, *, max_rows: int = 100_000, timeout: float = 30.0, cancelled: threading.Event | None = None
    ) -> Any:
        """Run one SELECT and return a ``pyarrow.Table``; raises as :meth:`query` does."""
        ...


class Archive(NamedTuple):
    """A store and the name of the numbers that its cursors count in.

    A cursor of another `epoch` leads nowhere.
    """

    store: Store
    epoch: str


@dataclass(frozen=True)
class Console:
    """What pages and API may see of a running pipeline.

    Attributes
    ----------
    store
        What the last quarter of an hour is followed by.
    history
        Answers SQL; None where none can be asked.
    """

    feed: Feed
    store: Store
    control: Control
    history: History | None = None
