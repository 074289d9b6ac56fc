"""Model to JSON and msgpack and back: the only wire form.

The same value always gives the same bytes, so a digest over them proves two runs equal.
"""

from __future__ import annotations

import hashlib
from typing import Any, TypeVar

import msgspec

from tracewave_panel.errors import StateError
from tracewave_panel.model import Analysis, Batch

__all__ = ["Digest", "decode_batch", "decode_packed", "pack", "to_json"]

T = TypeVar("T")

_json_encoder = msgspec.json.Encoder()
_packed_encoder = msgspec.msgpack.Encoder()
_batch_decoder = msgspec.json.Decoder(Batch)


def to_json(value: Any) -> bytes:
    """JSON bytes of any model value, on one line."""
    return _json_encoder.encode(value)


def decode_batch(line: bytes) -> Batch:
    """One JSON line of a recording.

    Raises
    ------
    msgspec.DecodeError
        When the bytes are not a Batch.
    """
    try:
        return _batch_decoder.decode(line)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"not UTF-8: {error}") from error


def pack(value: Any) -> bytes:
    """Msgpack bytes of any model value."""
    return _packed_encoder.encode(value)


def decode_packed(data: bytes, kind: type[T]) -> T:
    """Value of `kind` from msgpack bytes.

    Raises
    ------
    StateError
        When the bytes are not a value of that kind.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"saved bytes are not a {kind.__name__}: {error}"
        raise StateError(msg) from error


class Digest:
    """SHA-256 over the bytes of every Analysis in order; any field of any of them changes it.

    Examples
    --------
    >>> Digest().hexdigest()[:8]
    'e3b0c442'
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()

    def add(self, analysis: Analysis) -> None:
        """Take in the next Analysis."""
        self._hash.update(_packed_encoder.encode(analysis))

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()
