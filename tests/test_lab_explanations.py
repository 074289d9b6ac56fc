"""Trials of explanations: the floors that planted culprits must keep on days that nothing was tuned on."""

from __future__ import annotations

import math

import pytest

from tracewave_panel import codec
from tracewave_panel.lab.explanations import explanation_trials

SEEDS = (9001, 9002, 9003, 9004)


@pytest.fixture(scope="module")
def rates():
    heard = []
    rows = explanation_trials(SEEDS, lambda done, note: heard.append((done, note)))
    assert heard[0] == (0.25, "1 of 4 days of explanations")
    assert [done for done, _ in heard] == [0.25, 0.5, 0.75, 1.0]
    return {(row.kind, row.length): row for row in rows}


@pytest.mark.parametrize(
    ("kind", "length", "first", "first_small", "named"),
    [
        ("rise +25 %", 5, 0.92, 0.97, 0.75),
        ("rise +25 %", 30, 0.985, 0.985, 0.95),
        ("rise +50 %", 5, 0.97, 0.98, 0.90),
        ("rise +50 %", 30, 0.993, 0.993, 0.97),
        ("culprit silent", 5, 0.93, None, 0.88),
        ("culprit silent", 30, 0.98, None, 0.97),
        ("culprit down to 30 %", 5, 0.78, None, 0.40),
        ("culprit down to 30 %", 30, 0.95, None, 0.92),
        ("mix shift", 5, 0.95, None, 0.92),
        ("mix shift", 30, 0.99, None, 0.98),
    ],
)
def test_planted_culprit_leads(rates, kind, length, first, first_small, named):
    row = rates[kind, length]
    assert row.trials >= 60
    assert row.first >= first
    assert row.named >= named
    assert row.named <= row.first <= row.top3
    if first_small is not None:
        assert row.small_trials >= 40
        assert row.first_small >= first_small


@pytest.mark.parametrize("kind", ["global rise +50 %", "global rise x3", "global drop to 50 %"])
def test_change_of_everything_is_told_as_global(rates, kind):
    rows = [rates[kind, 5], rates[kind, 30]]
    assert sum(row.told_global * row.trials for row in rows) / sum(row.trials for row in rows) >= 0.97
    assert all(row.first == 0 for row in rows)
    assert all(math.isnan(row.first_small) for row in rows)


def test_same_seeds_give_the_same_rates():
    first, again = (codec.pack(explanation_trials(SEEDS[:1])) for _ in range(2))
    assert first == again


def test_no_seeds_give_rows_without_trials():
    rows = explanation_trials(())
    assert {row.trials for row in rows} == {0}
    assert all(math.isnan(row.first) for row in rows)
