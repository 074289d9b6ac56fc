"""How far recent means are from what the time of day and of week foretells, as compiled loops.

A value goes through the same loop whether it comes alone or with a day of others:

    residual   = value - level of its time of day (+ offset of its time of week, once that foretells better)
    difference = mean of the last `span` residuals - their slow baseline, which lags by `span`
    statistic  = the largest difference over its own usual size, of all spans

The level between two slots' centres is interpolated, so that a slot's edge makes no step. A slot learns the
mean of each of its visits when that ends. Residuals are clipped, and so is what slots, baselines and
variances learn, so that an incident does not teach them.
"""

from __future__ import annotations

import math

from numba import njit

from tracewave_panel.core.detectors.base import Floats

__all__ = ["go_through", "judge_next"]

_OVERALL_WEIGHT = 0.01
_LEAST_OF_RANGE = 1e-3
_MEAN, _VISITS, LEVEL = range(3)  # rows of a table of slots; a level is the smoothed mean, NaN while unknown

SLOT, RATE, MEMORY, SETTLE, CLIP, LEAST, SMOOTH, PLAIN, REPAID, FULL, WARM_UP, BEGIN = range(12)
"""What is set.

`repaid`: what clipping takes from a variance; `full`: windows of a whole visit; `begin`: windows after which
differences are learned from.
"""

OVERALL, LOW, HIGH, PLACE, SUM, COUNT, VISIT, VISITS_SEEN, BY_DAY, BY_WEEK, COMPARED, LAST = range(12)
"""What is learned besides.

Mean of the values of late and range of the residuals; the present visit (where, sum, windows); the variance of
visits around their slot and their number; squared error of visits without and with time of week, and their number;
the place of the last visit.
"""

SPAN, TOTAL, BASELINE, NOISE, VARIANCE, LEARNED = range(6)
"""What is learned of a span, after its length.

Sum of the newest ``span - 1`` residuals; the slow baseline, the variance of a residual around it, the
variance of the differences and from how many that was learned.
"""


@njit(cache=True, nogil=True)
def go_through(
    values: Floats, starts: Floats, statistics: Floats, seen: int, rule: Floats, day: Floats, week: Floats,
    spans: Floats, held: Floats, recent: Floats,
) -> None:  # fmt: skip
    """Judge, then learn, each value in turn; `statistics` may be empty when they are not wanted."""
    for n in range(values.size):
        residual, _ = _residual(values[n], starts[n], seen, rule, day, week, spans, held)
        if statistics.size > 0 and seen >= rule[WARM_UP]:
            statistics[n], _ = _judge(residual, rule, spans, held)
        for i in range(spans.shape[0]):
            _learn_difference(residual, seen, rule, spans[i])
        recent[seen % recent.size] = residual
        seen += 1
        for i in range(spans.shape[0]):
            _move_on(residual, seen, rule, spans[i], recent)
        held[LOW], held[HIGH] = min(held[LOW], residual), max(held[HIGH], residual)
        _learn_slot(values[n], starts[n], rule, day, week, held)
        held[OVERALL] += (values[n] - held[OVERALL]) * (max(_OVERALL_WEIGHT, 1.0 / seen) if seen > 1 else 1.0)


@njit(cache=True, nogil=True)
def judge_next(
    value: float, start: float, seen: int, rule: Floats, day: Floats, week: Floats, spans: Floats, held: Floats
) -> tuple[float, int, float]:
    """Statistic, place of its span and level if `value` came next."""
    residual, level = _residual(value, start, seen, rule, day, week, spans, held)
    statistic, place = _judge(residual, rule, spans, held)
    return statistic, place, level


@njit(cache=True, nogil=True)
def _residual(
    value: float, start: float, seen: int, rule: Floats, day: Floats, week: Floats, spans: Floats, held: Floats
) -> tuple[float, float]:
    level = _level(start, rule, day, week, held)
    if math.isnan(level):
        level = held[OVERALL] if seen > 0 else value
    residual = value - level
    if seen >= rule[WARM_UP] and rule[CLIP] > 0.0:
        most = rule[CLIP] * math.sqrt(max(spans[0, NOISE], rule[LEAST]))
        residual = min(max(residual, -most), most)
    return residual, level


@njit(cache=True, nogil=True)
def _judge(residual: float, rule: Floats, spans: Floats, held: Floats) -> tuple[float, int]:
    best, place = 0.0, 0
    for i in range(spans.shape[0]):
        span = spans[i]
        if rule[PLAIN]:  # as if residuals were independent
            least = _LEAST_OF_RANGE * max(0.0, held[HIGH] - held[LOW]) + 1e-12
            deviation = max(math.sqrt(span[NOISE]), least) / math.sqrt(span[SPAN])
        else:
            deviation = math.sqrt(max(span[VARIANCE], rule[LEAST] / span[SPAN]))
        z = ((span[TOTAL] + residual) / span[SPAN] - span[BASELINE]) / deviation
        if abs(z) > abs(best):
            best, place = z, i
    return best, place


@njit(cache=True, nogil=True)
def _learn_difference(residual: float, seen: int, rule: Floats, span: Floats) -> None:
    if seen < rule[BEGIN] or seen < span[SPAN]:
        return
    difference = (span[TOTAL] + residual) / span[SPAN] - span[BASELINE]
    span[LEARNED] = min(span[LEARNED] + 1.0, rule[SETTLE])
    square = difference * difference
    if seen >= rule[WARM_UP] and rule[CLIP] > 0.0:
        square = min(square, rule[CLIP] * rule[CLIP] * span[VARIANCE]) * rule[REPAID]
    span[VARIANCE] += (square - span[VARIANCE]) / span[LEARNED]


@njit(cache=True, nogil=True)
def _move_on(residual: float, seen: int, rule: Floats, span: Floats, recent: Floats) -> None:
    """Make the span ready for the next residual: one leaves it and reaches the baseline."""
    span[TOTAL] += residual
    if seen < span[SPAN]:
        return
    old = recent[(seen - int(span[SPAN])) % recent.size]
    span[TOTAL] -= old
    if seen % recent.size == 0:  # a running sum gathers errors
        span[TOTAL] = 0.0
        for back in range(1, int(span[SPAN])):
            span[TOTAL] += recent[(seen - back) % recent.size]
    rate = max(2.0 / (rule[MEMORY] + 1.0), 1.0 / (seen - span[SPAN] + 1.0))
    step = old - span[BASELINE]
    if seen >= rule[WARM_UP] and rule[CLIP] > 0.0:
        most = rule[CLIP] * math.sqrt(max(span[NOISE], rule[LEAST]))
        step = min(max(step, -most), most)
    span[BASELINE] += rate * step
    span[NOISE] = (1.0 - rate) * (span[NOISE] + rate * step * step)


@njit(cache=True, nogil=True)
def _level(start: float, rule: Floats, day: Floats, week: Floats, held: Floats) -> float:
    """Level at a time, seconds, with the offset of the week where that foretells better; NaN where it is unknown."""
    level = _at(start / rule[SLOT], rule[SMOOTH], day)
    if week.shape[1] and held[COMPARED] >= week.shape[1] and held[BY_WEEK] < held[BY_DAY]:
        offset = _at(start / rule[SLOT], rule[SMOOTH], week)
        if not math.isnan(offset):
            level += offset
    return level


@njit(cache=True, nogil=True)
def _at(position: float, smooth: float, table: Floats) -> float:
    """Level at a position counted in slots; NaN where it is unknown."""
    slots = table.shape[1]
    if smooth == 0:
        return table[LEVEL, math.floor(position) % slots]  # type: ignore[no-any-return]
    before = math.floor(position - 0.5)
    share = position - 0.5 - before
    level: float = (1.0 - share) * table[LEVEL, before % slots] + share * table[LEVEL, (before + 1) % slots]
    return level


@njit(cache=True, nogil=True)
def _learn_slot(value: float, start: float, rule: Floats, day: Floats, week: Floats, held: Floats) -> None:
    """Take a value into the present visit, and teach its slot when the visit ends."""
    place = math.floor(start / rule[SLOT])
    if held[COUNT] > 0.0 and place != held[PLACE]:
        _end_visit(rule, day, week, held)
    held[PLACE] = place
    held[SUM] += value
    held[COUNT] += 1.0
    if held[COUNT] >= rule[FULL]:
        _end_visit(rule, day, week, held)


@njit(cache=True, nogil=True)
def _end_visit(rule: Floats, day: Floats, week: Floats, held: Floats) -> None:
    mean, share, place = held[SUM] / held[COUNT], min(1.0, held[COUNT] / rule[FULL]), int(held[PLACE])
    held[SUM] = held[COUNT] = 0.0
    level = _at(place + 0.5, rule[SMOOTH], day)
    slot = place % day.shape[1]
    step = mean - day[_MEAN, slot]
    if day[_VISITS, slot] > 0.0:
        step = _clipped(step, day.shape[1], rule, held)
        held[VISITS_SEEN] = min(held[VISITS_SEEN] + 1.0, day.shape[1])
        held[VISIT] += (step * step - held[VISIT]) / held[VISITS_SEEN]
    _learn_visit(step, share, slot, rule, day)
    if week.shape[1] and not math.isnan(level):
        _learn_week(mean - level, share, place, day.shape[1], rule, week, held)
    last = int(held[LAST])  # at first 0, a day or more ago
    _smooth(place, last, rule, day)
    if week.shape[1]:
        _smooth(place, last, rule, week)
    held[LAST] = place


@njit(cache=True, nogil=True)
def _clipped(step: float, slots: int, rule: Floats, held: Floats) -> float:
    """Clip what a visit teaches, once its usual size was learned over a day."""
    if rule[CLIP] == 0.0 or held[VISITS_SEEN] < slots:
        return step
    most = rule[CLIP] * math.sqrt(held[VISIT])
    return min(max(step, -most), most)  # type: ignore[no-any-return]


@njit(cache=True, nogil=True)
def _learn_week(offset: float, share: float, place: int, slots: int, rule: Floats, week: Floats, held: Floats) -> None:
    known = _at(place + 0.5, rule[SMOOTH], week)
    if not math.isnan(known):
        held[COMPARED] = min(held[COMPARED] + 1.0, week.shape[1])
        held[BY_DAY] += (offset**2 - held[BY_DAY]) / held[COMPARED]
        held[BY_WEEK] += ((offset - known) ** 2 - held[BY_WEEK]) / held[COMPARED]
    slot = place % week.shape[1]
    step = offset - week[_MEAN, slot]
    if week[_VISITS, slot] > 0.0:
        step = _clipped(step, slots, rule, held)
    _learn_visit(step, share, slot, rule, week)


@njit(cache=True, nogil=True)
def _learn_visit(step: float, share: float, slot: int, rule: Floats, table: Floats) -> None:
    table[_VISITS, slot] += share
    table[_MEAN, slot] += max(rule[RATE] * share, share / table[_VISITS, slot]) * step


@njit(cache=True, nogil=True)
def _smooth(place: int, last: int, rule: Floats, table: Floats) -> None:
    """Anew make the levels that all slots up to a place bear on, those after the last place; the nearer weigh more.

    Levels ahead keep what earlier days said, so that what is going on does not bend its own expectation.
    """
    slots, smooth = table.shape[1], int(rule[SMOOTH])
    for near in range(max(min(last + 1, place), place - slots + 1) - smooth, place - smooth + 1):
        total, weights = 0.0, 0.0
        for other in range(near - smooth, near + smooth + 1):
            if table[_VISITS, other % slots] > 0.0:
                weight = smooth + 1 - abs(other - near)
                total += weight * table[_MEAN, other % slots]
                weights += weight
        if weights > 0.0:
            table[LEVEL, near % slots] = total / weights
