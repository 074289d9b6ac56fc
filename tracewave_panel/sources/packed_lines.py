"""Lines of a file, packed or not, read up to where it is cut off or damaged.

The readers of the standard library give up a whole buffer at the first damaged byte; a recording whose writer was
killed, or a capture whose download broke off, holds more than that.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from tracewave_panel.errors import ConfigError

__all__ = ["PackedLines"]

_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 26

_Unpacker: TypeAlias = "zlib._Decompress | lzma.LZMADecompressor"  # noqa: SLF001 - it has no public name


class PackedLines:
    """Lines of a plain, gzip or xz file, without their ends, in constant memory.

    Parameters
    ----------
    path
        The file; its first bytes tell how it is packed.

    Raises
    ------
    ConfigError
        While iterating, when the file cannot be opened.

    Attributes
    ----------
    damage
        Why the lines ended early, in words; empty when they did not.
    position
        How many bytes of the file, as it is packed, have been read.
    rest
        What followed the last line end, once the lines have ended.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.damage = ""
        self.position = 0
        self.rest = b""

    def __iter__(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        for text in self.texts():
            first, *lines = text.split(b"\n")
            parts.append(first)
            if lines:
                yield b"".join(parts)
                parts = [lines.pop()]
                yield from lines
            elif len(parts) > 1 and sum(map(len, parts)) > _LONGEST_LINE:
                self.damage = f"a line of more than {_LONGEST_LINE >> 20} MiB"
                break
        self.rest = b"".join(parts)

    def texts(self) -> Iterator[bytes]:
        """Give the unpacked bytes, in pieces of any length."""
        self.damage, self.position, self.rest = "", 0, b""
        chunks = self._chunks()
        chunk = next(chunks, b"")
        make = _unpacker_for(chunk)
        if make is None:
            yield chunk
            yield from chunks
            return
        unpacker = make()
        while chunk:
            before = unpacker.copy() if isinstance(unpacker, _GZIP) else None
            try:
                text, unpacker = _unpack(unpacker, chunk, make)
            except (zlib.error, lzma.LZMAError) as error:
                self.damage = str(error)
                if before:
                    yield from self._salvage(before, chunk, make)
                return
            yield text
            chunk = next(chunks, b"")
        if not unpacker.eof:
            self.damage = self.damage or "it ends in the middle: its writer was stopped, or is still writing"

    def _chunks(self) -> Iterator[bytes]:
        try:
            file = self.path.open("rb", buffering=0)
        except OSError as error:
            msg = f"cannot open {self.path}: {error.strerror}; check the name"
            raise ConfigError(msg) from error
        with file:
            try:
                while chunk := file.read(_CHUNK):
                    self.position += len(chunk)
                    yield chunk
            except OSError as error:
                self.damage = f"the disk cannot read on: {error.strerror}"

    def _salvage(self, unpacker: _Unpacker, chunk: bytes, make: Callable[[], _Unpacker]) -> Iterator[bytes]:
        """Give what a damaged chunk holds before its first bad byte."""
        self.position -= len(chunk)
        for at in range(len(chunk)):
            try:
                text, unpacker = _unpack(unpacker, chunk[at : at + 1], make)
            except zlib.error:
                return
            self.position += 1
            yield text


def _gunzip() -> zlib._Decompress:
    return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)


_GZIP = type(_gunzip())


def _unpacker_for(start: bytes) -> Callable[[], _Unpacker] | None:
    if start.startswith(b"\x1f\x8b"):
        return _gunzip
    if start.startswith(b"\xfd7zXZ\x00"):
        return lzma.LZMADecompressor
    return None


def _unpack(unpacker: _Unpacker, chunk: bytes, make: Callable[[], _Unpacker]) -> tuple[bytes, _Unpacker]:
    texts = []
    while chunk:
        if unpacker.eof:
            unpacker = make()  # files may be joined end to end
        texts.append(unpacker.decompress(chunk))
        chunk = unpacker.unused_data
    return b"".join(texts), unpacker
