"""The wire form: every value comes back, one value has one form, and damage is told as such."""

from __future__ import annotations

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import ANALYSES, BATCHES, MODELS

from tracewave_panel import codec
from tracewave_panel.errors import StateError
from tracewave_panel.model import Analysis, Batch, Event, Window

HOSTILE = '\n\r\u2028 </script> " \\ \x00 \x1f é 🜁'


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=25, deadline=None)
def test_every_model_comes_back_from_msgpack_and_json(kind, data):
    value = data.draw(MODELS[kind])
    assert codec.decode_packed(codec.pack(value), kind) == value
    assert msgspec.json.decode(codec.to_json(value), type=kind) == value


@pytest.mark.parametrize("kind", MODELS, ids=lambda kind: kind.__name__)
@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_same_value_has_the_same_bytes_on_one_line(kind, data):
    value = data.draw(MODELS[kind])
    copy = codec.decode_packed(codec.pack(value), kind)
    assert codec.pack(copy) == codec.pack(value)
    assert codec.to_json(copy) == codec.to_json(value)
    assert b"\n" not in codec.to_json(value)
    assert len(codec.to_json(value).splitlines()) == 1


def test_hostile_text_stays_on_its_line_and_comes_back():
    event = Event(1.0, 1.0, 1.0, HOSTILE, HOSTILE, (HOSTILE,), (), HOSTILE, HOSTILE, HOSTILE, HOSTILE)
    line = codec.to_json(Batch(1.0, 1.0, events=(event,)))
    assert line.splitlines() == [line]
    assert codec.decode_batch(line).events == (event,)


@given(BATCHES)
@settings(max_examples=50, deadline=None)
def test_batch_comes_back_from_its_line(batch):
    assert codec.decode_batch(codec.to_json(batch)) == batch


_LINE = codec.to_json(Batch(1.0, 2.0, events=(Event(1.0, 1.0, 1.0, "édits", "1", ("x",), (1.0,)),), position=b"abc"))


@given(st.integers(0, len(_LINE) - 1), st.integers(0, 255), st.booleans())
@settings(max_examples=300, deadline=None)
def test_damaged_line_gives_a_batch_or_a_decode_error(at, byte, cut):
    damaged = _LINE[:at] + (b"" if cut else bytes([byte]) + _LINE[at + 1 :])
    with suppress(msgspec.DecodeError):
        assert isinstance(codec.decode_batch(damaged), Batch)


_PACKED = codec.pack(
    Analysis("rate", Window("édits", 1.0, 1.0, 3, (3.0, 0.5), ({"ü": 3}, {"en": 2}), late=1), 3.0, expected=2.0)
)


@given(st.integers(0, len(_PACKED) - 1), st.integers(0, 255), st.booleans())
@settings(max_examples=300, deadline=None)
def test_damaged_bytes_give_a_value_or_a_state_error(at, byte, cut):
    damaged = _PACKED[:at] + (b"" if cut else bytes([byte]) + _PACKED[at + 1 :])
    with suppress(StateError):
        assert isinstance(codec.decode_packed(damaged, Analysis), Analysis)


@pytest.mark.parametrize(
    "noise",
    [b"", b"\xc1", b"\xa2\xff\xfe", b"\x91" * 100_000, codec.pack({"start": b"\xff"}), codec.pack([1, 2])],
    ids=["empty", "reserved byte", "no UTF-8", "nested for ever", "wrong type", "no map"],
)
def test_bytes_of_something_else_are_a_state_error(noise):
    with pytest.raises(StateError):
        codec.decode_packed(noise, dict[str, int])


@given(st.lists(ANALYSES, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_digest_depends_on_every_analysis_and_their_order(analyses):
    def digest(values) -> str:
        made = codec.Digest()
        for value in values:
            made.add(value)
        return made.hexdigest()

    whole = digest(analyses)
    assert digest(analyses) == whole
    assert digest(analyses[:-1]) != whole
    changed = msgspec.structs.replace(analyses[-1], observed=analyses[-1].observed + 1.0 or 1.0)
    if changed != analyses[-1]:
        assert digest([*analyses[:-1], changed]) != whole
    if analyses[::-1] != analyses:
        assert digest(analyses[::-1]) != whole
