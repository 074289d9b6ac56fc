"""Rows from this machine: standard input, a file that grows, an iterable of a program."""

from __future__ import annotations

import asyncio
import logging
import os
import select
from collections import abc
from collections.abc import AsyncIterable, Callable
from pathlib import Path
from typing import Any

import msgspec

from tracewave_panel.errors import FeedError
from tracewave_panel.sources.feed_file import ReadSettings
from tracewave_panel.sources.mapping import Mapping
from tracewave_panel.sources.own_lines import CsvRows, JsonRows
from tracewave_panel.sources.own_link import Ending, Receiver, RowParser
from tracewave_panel.sources.own_rows import Row
from tracewave_panel.sources.row_values import path_of

__all__ = ["FollowLink", "IterableLink", "StdinLink", "parser_of"]

_logger = logging.getLogger(__name__)

_CHUNK = 1 << 16
_POLL = 0.2  # seconds
_BREATH = 100  # rows


def parser_of(read: ReadSettings, mapping: Mapping, where: str, columns: tuple[str, ...] = ()) -> RowParser:
    """What cuts bytes into rows, as the settings say."""
    if read.format == "csv":
        return CsvRows(
            limit=read.max_bytes,
            delimiter=read.delimiter,
            columns=columns or read.columns,
            fields=mapping.fields,
            where=where,
        )
    return JsonRows(limit=read.max_bytes, within=path_of(read.within) if read.within else None)


class StdinLink:
    """Reads standard input until it is closed.

    Parameters
    ----------
    descriptor
        Of the open file; 0 is standard input.
    """

    where = "standard input"
    counted = "line"

    def __init__(self, read: ReadSettings, mapping: Mapping, descriptor: int = 0) -> None:
        self._parser = parser_of(read, mapping, self.where)
        self._descriptor = descriptor

    async def follow(self, receiver: Receiver) -> Ending:
        """Read to the end."""
        receiver.connected(resumes=False)
        while True:
            try:
                chunk = await asyncio.to_thread(self._chunk)
            except OSError as error:
                return Ending(f"{self.where} cannot be read ({error.strerror})", final=True)
            if chunk is None:
                continue
            rows = self._parser.feed(chunk) if chunk else self._parser.finish()
            if rows:
                receiver.take(rows)
            if not chunk:
                return Ending(f"{self.where} was closed", final=True)
            await receiver.room()

    def _chunk(self) -> bytes | None:
        """The next bytes, or None when there are none for a moment; a thread must not wait for ever."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLIN | select.POLLHUP)
        return os.read(self._descriptor, _CHUNK) if poll.poll(1000 * _POLL) else None


class _Place(msgspec.Struct):
    """Where a growing file was read to."""

    inode: int
    offset: int


class FollowLink:
    """Reads what is written to a file, through rotation and truncation; waits for a file that is not there."""

    counted = "row"

    def __init__(self, read: ReadSettings, mapping: Mapping) -> None:
        self._read, self._mapping = read, mapping
        self._path = Path(read.file)
        self.where = self._path.name
        self._first = True

    async def follow(self, receiver: Receiver) -> Ending:
        """Read one file until another has its name, or it is cut."""
        try:
            return await self._follow(receiver)
        except OSError as error:
            raise FeedError(f"{self.where} cannot be read ({error.strerror}); it is waited for") from error

    async def _follow(self, receiver: Receiver) -> Ending:
        with self._path.open("rb", buffering=0) as file:
            inode = os.fstat(file.fileno()).st_ino
            offset, resumes = self._begin(receiver.resume, file.fileno())
            if resumes is not None:
                receiver.connected(resumes=resumes)
            columns, header_ends = await asyncio.to_thread(self._header, file)
            parser = parser_of(self._read, self._mapping, self.where, columns)
            if not columns and self._read.format == "csv" and not self._read.columns:
                offset = 0  # the names of its cells are still to come
            offset = file.seek(max(offset, header_ends))
            behind = 0  # bytes of a row that has begun
            while True:
                chunk = await asyncio.to_thread(file.read, _CHUNK)
                rows = parser.feed(chunk)
                offset += len(chunk)
                behind = behind + len(chunk) if b"\n" not in chunk else len(chunk) - chunk.rindex(b"\n") - 1
                if chunk:
                    receiver.take(rows, resume=_token(inode, offset - behind))
                    await receiver.room()
                    continue
                await asyncio.sleep(_POLL)
                now = os.fstat(file.fileno())
                if now.st_size < offset:
                    receiver.take(parser.finish(), resume=_token(inode, 0))
                    return Ending(f"{self.where} was cut to {now.st_size:,} bytes; going on at its start", wait=0.0)
                if now.st_size == offset and self._replaced(inode):
                    receiver.take(parser.finish(), resume=_token(0, 0))
                    return Ending(f"{self.where} is another file now; going on with that", wait=0.0)

    def _begin(self, resume: str, descriptor: int) -> tuple[int, bool | None]:
        """Where to begin, and whether nothing was missed by that."""
        first, self._first = self._first, False
        found = os.fstat(descriptor)
        if resume:
            place = msgspec.json.decode(resume, type=_Place)
            if place.inode == found.st_ino and place.offset <= found.st_size:
                return place.offset, True
            if place.inode:
                _logger.warning("%s is not the file that was read before; what that had left is missing", self.where)
            return 0, True
        return (found.st_size if first and self._read.begin == "end" else 0), False

    def _header(self, file: Any) -> tuple[tuple[str, ...], int]:
        """Columns of a CSV file that is not begun at its start, and where its first row ends."""
        if self._read.format != "csv" or self._read.columns:
            return (), 0
        head = CsvRows(limit=self._read.max_bytes, delimiter=self._read.delimiter, where=self.where)
        read = 0
        while not head.columns:
            chunk = file.read(_CHUNK)
            if not chunk:
                return (), 0
            line, end, _ = chunk.partition(b"\n")
            head.feed(line + end)
            read += len(line) + len(end)
            file.seek(read)
        return head.columns, read

    def _replaced(self, inode: int) -> bool:
        try:
            return self._path.stat().st_ino != inode
        except FileNotFoundError:
            return False


def _token(inode: int, offset: int) -> str:
    return msgspec.json.encode(_Place(inode, offset)).decode()


class IterableLink:
    """Reads dicts from an async iterable of a program, once.

    Parameters
    ----------
    rows
        The iterable, or what makes it when the reading begins.
    """

    where = "the iterable"
    counted = "row"

    def __init__(
        self,
        rows: AsyncIterable[abc.Mapping[str, Any]] | Callable[[], AsyncIterable[abc.Mapping[str, Any]]],
    ) -> None:
        self._rows = rows

    async def follow(self, receiver: Receiver) -> Ending:
        """Read to the end."""
        rows = self._rows() if callable(self._rows) else self._rows
        receiver.connected(resumes=False)
        number = 0
        try:
            async for fields in rows:
                number += 1
                receiver.take([Row(number, fields)])
                await receiver.room()
                if number % _BREATH == 0:  # an iterable that never waits must not keep others from it
                    await asyncio.sleep(0)
        except Exception as error:  # noqa: BLE001 - it is a stranger's
            words = f"{self.where} failed at row {number + 1}: {type(error).__name__}: {error}"
            return Ending(words, final=True)
        finally:
            close = getattr(rows, "aclose", None)
            if close is not None:
                await close()
        return Ending(f"{self.where} ended", final=True)
