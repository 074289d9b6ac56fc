"""Simulated trades: reproducible, shaped like real ones, with incidents that windows show and the truth tells of."""

from __future__ import annotations

import re
import time
from functools import lru_cache, partial
from itertools import islice

import msgspec
import numpy as np
import pytest

from tracewave_panel import codec
from tracewave_panel.core.windows import TumblingWindows
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import CRYPTO
from tracewave_panel.model import Batch, Origin, Quality, Status
from tracewave_panel.sources.recording import read_recording
from tracewave_panel.sources.synthetic import Truth, simulate, write_simulation
from tracewave_panel.sources.synthetic_incidents import FAULTS, Incident, default_schedule
from tracewave_panel.sources.synthetic_trade_incidents import TRADE_KINDS
from tracewave_panel.sources.synthetic_trades import SyntheticTrades, TradesSettings, windows_of
from tracewave_panel.testing import check_source

START = 1_767_225_600.0
QUIET = TradesSettings(incidents=())
BEGIN, END = 600, 1200  # an incident begins there, and the stream ends
RATE, VOLUME, PRICE, BUYS = (CRYPTO.feature_index(name) for name in ("rate", "volume", "price", "buy_share"))
BITCOIN = tuple(series for series in CRYPTO.series if series.endswith("BTC-USD"))


def told_of(batches):
    windows = TumblingWindows(CRYPTO, 1.0)
    return [window for batch in batches for window in windows.push(batch)]


def with_incident(kind, after=BEGIN, **fields):
    return TradesSettings(seed=5, rate=90.0, incidents=(Incident(kind, after, **fields),))


@lru_cache
def made(settings, windows=END):
    return windows_of(settings, START + 50_000, windows)


def usual():
    return made(msgspec.structs.replace(with_incident("stall"), incidents=()))


def clean_day(seed):
    return made(TradesSettings(seed=seed, incidents=()), 86_400)


def prices(features):
    """The last known price of each window."""
    price = features[:, PRICE]
    known = np.maximum.accumulate(np.where(price > 0, np.arange(len(price)), 0))
    return price[known][np.argmax(price > 0) :]


def price_change(features, begin, end):
    price = features[:, PRICE]
    return price[:end][price[:end] > 0][-1] / price[:begin][price[:begin] > 0][-1]


def kurtosis(values):
    return np.mean(values**4) / np.mean(values**2) ** 2


@pytest.mark.slow
def test_the_same_seed_and_start_give_the_same_stream_and_others_another():
    settings = TradesSettings(seed=3)
    first, second = (simulate(settings, START, 400) for _ in range(2))
    assert first.truth == second.truth
    assert first.truth
    batches = list(first.recording())
    assert batches == list(second.recording())
    for other in (simulate(TradesSettings(seed=4), START, 10), simulate(settings, START + 1, 10)):
        assert list(other.recording())[:20] != batches[:20]
    returns = [np.diff(np.log(prices(clean_day(seed)[BITCOIN[0]])[::60]))[:1400] for seed in (1, 2)]
    assert abs(np.corrcoef(*returns)[0, 1]) < 0.1


def test_arrays_are_the_windows_that_the_events_make():
    settings = with_incident("flash_crash", 60, length=60)
    arrays = windows_of(settings, START, 300)
    told = [window for window in told_of(simulate(settings, START, 300).recording()) if window.quality is Quality.OK]
    assert len(told) > 290 * len(CRYPTO.series)
    assert all(tuple(arrays[window.series][int(window.start - START)]) == window.features for window in told)
    assert windows_of(settings, START + 0.9, 10)[BITCOIN[0]].tolist() == arrays[BITCOIN[0]][:10].tolist()


def test_no_cut_between_watermarks_shows():
    batches = list(simulate(with_incident("flash_crash", 20), START, 60).recording())
    halves = []
    for before, batch in zip([Batch(0.0, START - 1), *batches], batches, strict=False):
        cut = len(batch.events) // 3
        halves.append(Batch(batch.arrived_at, before.watermark, batch.status, batch.events[:cut], batch.marks))
        halves.append(msgspec.structs.replace(batch, events=batch.events[cut:], marks=()))
    assert codec.pack(told_of(halves)) == codec.pack(told_of(batches))


def test_events_look_like_trades():
    events = [event for batch in simulate(QUIET, START, 300).recording() for event in batch.events]
    assert len({event.id for event in events}) == len(events)
    assert {event.series for event in events} == set(CRYPTO.series)
    for event in events:
        exchange, symbol, side = event.dimensions
        price, quantity, notional = event.measures
        assert event.series == f"{exchange}:{symbol}"
        assert (event.actor, event.subject, event.link) == (side, symbol, "")
        assert quantity > 0
        assert notional == pytest.approx(price * quantity, abs=0.006)
        assert re.fullmatch(rf"{side} [\d.e-]+ {symbol[:3]} at [\d,]+\.\d\d USD", event.title)
    lags = np.array([event.arrived_at - event.occurred_at for event in events])
    assert lags.min() > 0
    assert 0.05 < np.median(lags) < 0.2
    sizes = np.array([event.measures[2] for event in events])
    assert 20 < np.median(sizes) < 80
    assert sizes.mean() > 8 * np.median(sizes)
    assert {event.dimensions[2] for event in events} == {"buy", "sell"}


def test_a_quiet_stream_is_live_with_ordinary_windows():
    batches = list(simulate(QUIET, START, 900).recording())
    assert all(batch.status is Status.LIVE for batch in batches[20:])
    assert {window.quality for window in told_of(batches)[20:]} == {Quality.OK}
    assert max(batch.arrived_at - batch.watermark for batch in batches[20:]) < 1.5


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_counts_come_in_bursts_that_excite_each_other(seed):
    day = clean_day(seed)
    total = sum(features[:, RATE] for features in day.values())
    assert 20 < total.mean() < 80
    counts = day[BITCOIN[0]][:, RATE]
    assert 2 <= np.median(counts) <= 12
    assert 400 < counts.max() < 4000
    assert 40 < counts.var() / counts.mean() < 300
    logs = np.log1p(counts)
    near, far = (np.corrcoef(logs[lag:], logs[:-lag])[0, 1] for lag in (1, 3600))
    assert near > 0.1
    assert near > far + 0.05


def test_the_day_has_a_busy_afternoon():
    hours = sum(day[series][:, RATE] for day in map(clean_day, (1, 2, 3)) for series in CRYPTO.series)
    afternoon = np.roll(hours, 50_000)  # the day began at 50,000 s
    assert afternoon[13 * 3600 : 17 * 3600].mean() > 1.25 * afternoon[: 4 * 3600].mean()


def test_returns_are_as_wild_as_real_ones():
    beyond = []
    for features in (clean_day(seed)[series] for seed in (1, 2, 3) for series in CRYPTO.series[:2]):
        returns = np.diff(np.log(prices(features)[59::60]))
        assert 0.0004 < returns.std() < 0.003
        assert 4 < kurtosis(returns) < 60
        assert kurtosis(np.diff(np.log(prices(features)))) > 8
        variance, z = returns.var(), []
        for value in returns:
            z.append(value / variance**0.5)
            variance += (value**2 - variance) / 60
        beyond.append(np.sum(np.abs(z) > 6))
    assert 0.4 <= np.mean(beyond) <= 3
    size = np.abs(returns)
    assert np.corrcoef(size[1:], size[:-1])[0, 1] > 0.05  # calm and wild minutes come in stretches


def test_venues_follow_one_price_and_busy_minutes_move_it():
    day = clean_day(1)
    both = (day[BITCOIN[0]][:, RATE] > 0) & (day[BITCOIN[1]][:, RATE] > 0)
    common, other = (np.log(day[series][both, PRICE]) for series in BITCOIN[:2])
    assert 0.00002 < np.std(common - other) < 0.0003
    assert np.ptp(common) > 0.01
    moves = np.abs(np.diff(np.log(prices(day[BITCOIN[0]])[59::60])))
    counts = day[BITCOIN[0]][:, RATE].reshape(-1, 60).sum(1)
    assert np.corrcoef(moves[-1400:], np.log1p(counts[-1400:]))[0, 1] > 0.15


@pytest.mark.parametrize(
    ("kind", "culprit"),
    [
        ("volume_spike", {"symbol": "ETH-USD"}),
        ("venue_spike", {"exchange": "coinbase"}),
        ("volume_spike", {"symbol": "BTC-USD", "exchange": "binance"}),
        ("venue_frozen", {"exchange": "binance"}),
        ("stall", {}),
    ],
)
def test_an_incident_of_the_rate_touches_its_culprit_alone(kind, culprit):
    effect = TRADE_KINDS[kind].effect
    end = BEGIN + 300
    spoiled = made_with(kind, culprit, length=300)
    for series, features in spoiled.items():
        clean = usual()[series]
        if all(value in series for value in culprit.values()):
            ratio = features[BEGIN:end, RATE].sum() / clean[BEGIN:end, RATE].sum()
            assert ratio == pytest.approx(effect, rel=0.5)
            assert features[BEGIN:end].any() == bool(effect)
            assert np.array_equal(np.delete(features, slice(BEGIN, end), 0), np.delete(clean, slice(BEGIN, end), 0))
        else:
            assert np.array_equal(features, clean)


def made_with(kind, culprit=None, **fields):
    settings = with_incident(kind, culprit=culprit, **fields)
    return windows_of(settings, START + 50_000, END)


@pytest.mark.parametrize("effect", [0.96, 0.985])
def test_a_flash_crash_falls_within_seconds_on_heavy_selling_and_recovers_in_part(effect):
    crashed = made_with("flash_crash", {"symbol": "BTC-USD"}, effect=effect)
    for series, features in crashed.items():
        clean = usual()[series]
        fallen, ended = (price_change(features, BEGIN, BEGIN + after) for after in (9, 120))
        if series in BITCOIN:
            assert fallen == pytest.approx(effect, abs=0.25 * (1 - effect))
            assert ended == pytest.approx(1 - 0.4 * (1 - effect), abs=0.25 * (1 - effect))
            assert price_change(features, BEGIN, END) == pytest.approx(ended, abs=0.01)
            assert features[BEGIN : BEGIN + 30, RATE].sum() > 2 * clean[BEGIN : BEGIN + 30, RATE].sum()
            assert features[BEGIN : BEGIN + 30, VOLUME].sum() > features[BEGIN - 30 : BEGIN, VOLUME].sum()
            traded = features[BEGIN : BEGIN + 7]
            assert np.average(traded[:, BUYS], weights=traded[:, RATE]) < 0.25
        else:
            assert np.array_equal(features, clean)


@pytest.mark.parametrize("effect", [1.012, 0.988])
def test_a_price_jump_comes_at_once_and_stays(effect):
    jumped = made_with("price_jump", {"symbol": "ETH-USD"}, effect=effect)
    for series, features in jumped.items():
        wanted = 1.0 if series in BITCOIN else effect
        assert price_change(features, BEGIN, BEGIN + 8) == pytest.approx(wanted, abs=0.003)
        later = price_change(features, BEGIN, END) / price_change(usual()[series], BEGIN, END)
        assert later == pytest.approx(wanted, abs=0.002)  # also in the minutes after its end


def test_diverging_venues_walk_apart_and_meet_again():
    apart = made_with("venues_diverging", {"exchange": "coinbase"}, effect=1.01)

    def distance(after):
        changes = [price_change(apart[series], BEGIN, BEGIN + after) for series in BITCOIN]
        return changes[1] / changes[0], changes[2] / changes[0]

    distances = [distance(after) for after in (1, 120, 240, 330)]
    assert [coinbase for coinbase, _ in distances] == pytest.approx([1, 1.005, 1.01, 1], abs=0.0012)
    assert [kraken for _, kraken in distances] == pytest.approx([1, 1, 1, 1], abs=0.0012)
    assert all(np.array_equal(apart[series][:, RATE], usual()[series][:, RATE]) for series in apart)


def test_a_stall_on_a_live_feed_is_true_silence():
    simulation = simulate(with_incident("stall", 120), START, 180)
    batches = list(simulation.recording())
    during = [window for window in told_of(batches) if START + 121 <= window.start < START + 149]
    assert len(during) == 28 * len(CRYPTO.series)
    assert {(window.count, window.quality, window.features[PRICE]) for window in during} == {(0, Quality.OK, 0.0)}


def test_a_stall_of_the_feed_delays_trades_and_loses_none():
    faulty = simulate(with_incident("feed_stall", 120), START, 200)
    clean = simulate(msgspec.structs.replace(faulty.settings, incidents=()), START, 200)
    batches = list(faulty.recording())
    events = {event.id: event.measures for batch in batches for event in batch.events}
    assert events == {event.id: event.measures for batch in clean.recording() for event in batch.events}
    assert Status.CATCH_UP in {batch.status for batch in batches if batch.arrived_at > START + 120}
    assert batches[-1].status is Status.LIVE
    assert "feed_stall" in FAULTS


def test_the_default_schedule_plants_every_kind_and_the_truth_stands_beside_the_recording(tmp_path):
    planned = list(islice(TradesSettings(seed=1).planned(START), 200))
    assert {one.kind for one in planned} == set(TRADE_KINDS)
    assert [one.kind for one in planned] == [i.kind for i in islice(default_schedule(1, 300.0, TRADE_KINDS), 200)]
    for one in planned:
        assert set(one.culprit) == set(TRADE_KINDS[one.kind].dimensions)
    path = tmp_path / "trades.jsonl.gz"
    simulation = simulate(TradesSettings(seed=1), START, 600)
    truth = msgspec.json.decode(write_simulation(path, simulation).read_bytes(), type=Truth)
    assert truth.planted == simulation.truth
    assert truth.planted == tuple(one for one in planned if one.start < START + 600)
    header, reader = read_recording(path)
    assert (header.feed, header.origin, header.seed) == ("crypto", Origin.SIMULATED, 1)
    assert header.licence == "CC0-1.0: simulated; no trade in it was ever made"
    assert header.note.startswith("about 45 trades a second with")
    assert list(reader) == list(simulate(TradesSettings(seed=1), START, 600).recording())


async def test_the_source_keeps_its_promises():
    settings = TradesSettings(speed=100.0, incidents=(Incident("feed_stall", 3, length=4),))
    await check_source(partial(SyntheticTrades, settings, clock=lambda: START), feed=CRYPTO, resumes=False, batches=150)


async def test_the_source_is_simulated_in_real_time_without_settings():
    source = SyntheticTrades(clock=lambda: START + 0.7)
    assert source.origin is Origin.SIMULATED
    began, batches = time.monotonic(), source.batches()
    first = await anext(batches)
    async for batch in batches:
        if batch.arrived_at > START + 1:
            await source.stop()
    assert first.events[0].series in CRYPTO.series
    assert 0.3 < time.monotonic() - began < 3
    assert source.status().state.word == "ended"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: TradesSettings(rate=0), "rate 0"),
        (lambda: TradesSettings(seed=-1), "seed -1"),
        (lambda: TradesSettings(every=float("nan")), "every nan"),
        (lambda: TradesSettings(incidents=(Incident("flash_crash", 1, effect=0.0),)), "never falls to nothing"),
        (lambda: windows_of(QUIET, START, 0), "0 windows"),
        (lambda: simulate(TradesSettings(incidents=(Incident("surge", 1),)), START, 10), "kinds are flash_crash"),
        (lambda: made_with("venue_frozen", {"exchange": "mtgox"}), "exchange = 'mtgox'.*binance, coinbase, kraken"),
        (lambda: made_with("flash_crash", {"side": "buy"}), "side = 'buy'"),
    ],
)
def test_wrong_settings_are_refused(make, words):
    with pytest.raises(ConfigError, match=words):
        make()
