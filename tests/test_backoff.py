"""Waits before a reconnect: growing, spread, bounded, and never shorter than the server asks."""

from __future__ import annotations

from email.utils import formatdate
from random import Random

import pytest

from tracewave_panel.sources.backoff import Backoff, parse_retry_after


def waits(count: int, seed: int, **settings: float) -> list[float]:
    backoff = Backoff(random=Random(seed), **settings)
    return [backoff.next_wait() for _ in range(count)]


def test_ceilings_double_up_to_the_cap_and_the_whole_range_below_is_used():
    runs = [waits(6, seed, base=1.0, cap=8.0) for seed in range(400)]
    for ceiling, column in zip([1, 2, 4, 8, 8, 8], zip(*runs, strict=True), strict=True):
        assert max(column) <= ceiling
        assert max(column) > 0.95 * ceiling
        assert min(column) < 0.05 * ceiling


def test_the_same_random_gives_the_same_waits():
    assert waits(5, seed=3) == waits(5, seed=3) != waits(5, seed=4)


def test_a_healthy_connection_starts_the_waits_anew():
    backoff = Backoff(random=Random(1), base=0.5, cap=60.0)
    for _ in range(10):
        backoff.next_wait()
    backoff.reset()
    assert backoff.next_wait() <= 0.5


def test_a_cap_below_the_base_holds_from_the_first_wait():
    assert max(wait for seed in range(100) for wait in waits(3, seed, base=5.0, cap=0.1)) <= 0.1


@pytest.mark.parametrize(("asked", "least", "most"), [(None, 0, 1), (0.0, 0, 1), (7.0, 7, 8), (1e9, 3600, 3601)])
def test_the_wait_is_never_shorter_than_asked_unless_that_is_absurd(asked, least, most):
    backoff = Backoff(random=Random(1), base=1.0)
    assert least <= backoff.next_wait(asked) <= most


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("5", 5.0),
        (" 0 ", 0.0),
        ("2.5", 2.5),
        ("-3", 0.0),
        (formatdate(1_000_030, usegmt=True), 30.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("", None),
        ("soon", None),
        ("nan", None),
        ("inf", None),
        ("Thu, 99 Jan 1970 00:00:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_or_nothing(value, seconds):
    assert parse_retry_after(value, now=1_000_000.0) == seconds
