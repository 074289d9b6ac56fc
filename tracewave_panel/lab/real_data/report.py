"""What was found, missed and raised besides, as Markdown and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tracewave_panel.codec import to_json
from tracewave_panel.errors import StoreError
from tracewave_panel.lab.real_data.judging import Found, Raised, Run, matched, tolerances_of
from tracewave_panel.lab.real_data.study import Studied, Study

__all__ = ["save_report", "study_as_json", "study_as_markdown"]

_LISTED = 40  # episodes that are told one by one; more are summed up
_STRONGEST = 8
_LONGEST_RARITY = 1000.0

_INTRODUCTION = """\
# What the engine finds in real captures

Made by `python benchmarks/real_data.py ../shared/data --out benchmarks/reports`; the same captures give the same bytes.
It is the live engine (windows, all five detectors, ensemble, episodes, explanations) on event time, started cold, with
[one configuration](../../tracewave_panel/lab/real_data/configuration.toml) for all and what differs between minutes and
hours. What is known of each capture is in [known.toml](../../tracewave_panel/lab/real_data/known.toml), every episode
in [real_data.json](real_data.json). All times are UTC.

- A **hit** is an episode that opens within the tolerance of a known time, or while it lasts. It must be of the same
  metric, not go the other way, and for edits name the wiki or be of its series; otherwise it is **in time only**.
  **By chance**: the hits that as many episodes about the same thing, opening at random moments, would make.
  **Alerting**: how many of the windows in time alerted. A miss with much of it came while an earlier alarm lasted, or
  after its level was accepted as normal, when no episode opens; what must stay quiet is then **unproven**.
- What was raised besides is **not in the list**: the descriptions name the largest incidents, not all, so such an
  episode is unknown or false. None was looked up and excused.
- **Provisional** (\\*): there is no reference for windows of a minute or an hour. The engine learns from the capture
  itself what is rare; until it has, it rests on a safe default. A past of hundreds of windows tells the order of
  rarities, not their size, so none beyond 1,000 days is given. **Rank** is by evidence, among episodes of the metric.
- **Tried**: the configuration is the first that was written, before any result was seen. The variants at the end were
  run afterwards; none was adopted, and nothing is set for a single file. What counts as a hit was made stricter after
  the first results: that it be of the same metric and not go the other way was added, and took none of these away.
"""

_EXPLANATIONS = {
    "edits": (
        "All edits as one series, as the live feed has it. Most of the known waves add 30 to 50 edits to about 300 in "
        "ten minutes, which the noise of the whole hides. The file gives the peak ten minutes; several waves began "
        "earlier, so the nearest episode that names the wiki is shown too."
    ),
    "wikis": (
        "The same edits and the same configuration, each of the twenty busiest wikis and of those named a series of "
        "its own, with an alarm budget of its own. Waves stand out there; so does every other habit of a small wiki."
    ),
    "bars": (
        "Price as log returns in units of their volatility, volume as it is. The engine is told of single unusual "
        "minutes and of means up to an hour; a market has many."
    ),
    "flow": (
        "One value an hour. The time zone's step is no step in UTC. Missing rows are told as `Feed silent`, and are "
        "neither judged nor learned."
    ),
}


def study_as_markdown(study: Study) -> str:
    """The whole report."""
    sections = ("\n".join(_section(one)) for one in study.captures)
    parts = [_INTRODUCTION, _summary(study), *sections, "\n".join(_variants(study))]
    return "\n".join(parts) + "\n"


def _summary(study: Study) -> str:
    rows = []
    for one in study.captures:
        run, tolerance = one.run, tolerances_of(one.capture, one.run)[0]
        expected = sum(not known.quiet for known in one.capture.known)
        rows.append((
            one.capture.name, *_figures(run, one.settings.analyzer.lanes.ensemble.alarm_budget),
            f"{tolerance.hits} of {expected}", f"{tolerance.by_chance:.1f}",
        ))  # fmt: skip
    by_day = Counter(_time(one.anomaly.opened, "%j") for one in study.noise.raised)
    counts = ", ".join(str(count) for _, count in sorted(by_day.items()))
    budget = study.noise_settings.analyzer.lanes.ensemble.alarm_budget
    rows.append(("Control: simulated normal noise, nothing in it", *_figures(study.noise, budget), "-", "-"))
    heads = (
        "capture",
        "series",
        "windows judged",
        "provisional",
        "alerting",
        "episodes",
        "a day",
        "budget",
        "hits",
        "by chance",
    )
    note = (
        "`a day` and `budget` are for a series and metric. The control shows what an alarm is worth here: day by day "
        f"it raised {counts} times, where the budget is {budget:g}, and {_alerting(study.noise)} of its windows "
        "alerted. The engine takes from its own past what is rare, of alarms only their beginning, and so short a past "
        "does not tell it exactly. Hits are to be read beside `by chance` and `alerting`."
    )
    return f"{_table(heads, rows)}\n\n{note}\n"


def _figures(run: Run, budget: float) -> tuple[str, ...]:
    episodes = sum(not one.silence for one in run.raised)
    lanes = run.lanes
    return (
        f"{run.series}",
        f"{run.judged:,}",
        f"{run.provisional / run.judged:.0%}",
        _alerting(run),
        f"{episodes}",
        f"{episodes / lanes / run.days:.2g}",
        f"{budget:g}",
    )


def _alerting(run: Run) -> str:
    return f"{sum(map(len, run.alerting.values())) / run.judged:.0%}"


def _section(one: Studied) -> Iterator[str]:
    capture, run = one.capture, one.run
    found = matched(capture, run)
    yield f"## {capture.name}\n"
    windows = ", ".join(f"{count:,} {quality}" for quality, count in run.windows.items())
    silences = sum(raised.silence for raised in run.raised)
    if run.holes or silences:
        windows += f"; {run.holes} holes, told as {silences} silences"
    yield f"{_EXPLANATIONS[capture.reader]} `{Path(capture.file).name}`: {windows}.\n"
    yield _table(
        ("when", "known", "verdict", "alerting", "opened in time", "nearest about it"),
        [_row(one_found, capture.tolerances[0]) for one_found in found],
    )
    told = [
        f"{_length(tolerance.seconds)}: {tolerance.hits} (by chance {tolerance.by_chance:.1f})"
        for tolerance in tolerances_of(capture, run)
    ]
    yield f"\nHits by how far off an episode may open: {', '.join(told)}.\n" if len(told) > 1 else ""
    hits = {raised.anomaly.id for one_found in found if one_found.verdict == "hit" for raised in one_found.by}
    others = [raised for raised in run.raised if not raised.silence and raised.anomaly.id not in hits]
    yield from _others(others, by_series=run.series > 1)


def _row(found: Found, tolerance: float) -> tuple[str, ...]:
    known = found.known
    when = f"{known.start.astimezone(UTC):%m-%d %H:%M}"
    if known.end:
        when += f" - {known.end.astimezone(UTC):%H:%M}"
    in_time = "; ".join(_told(raised, "%H:%M") for raised in found.by[:2])
    if len(found.by) > 2:
        in_time += f"; {len(found.by) - 2} more"
    nearest = "-"
    if found.nearest and not known.around(found.nearest.anomaly.opened, tolerance):
        offset = round(known.offset(found.nearest.anomaly.opened) / 60.0)
        nearest = f"{abs(offset):,} min {'before' if offset < 0 else 'after'}: {_told(found.nearest, '%m-%d %H:%M')}"
    return when, known.what, f"**{found.verdict}**", f"{found.alerting:.0%}", in_time or "-", nearest


def _others(others: Sequence[Raised], *, by_series: bool) -> Iterator[str]:
    yield f"Raised, and not in the list: {len(others)}.\n"
    if len(others) <= _LISTED:
        for one in others:
            yield f"- {_told(one, '%m-%d %H:%M')}; {_seen(one)}"
        yield ""
        return

    counts = Counter(one.anomaly.series if by_series else _time(one.anomaly.opened, "%m-%d") for one in others)
    told = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
    yield f"By {'series' if by_series else 'day'}: {told}. With most evidence:\n"
    for one in sorted(others, key=lambda one: -one.anomaly.evidence)[:_STRONGEST]:
        series = f"{one.anomaly.series}, " if by_series else ""
        yield f"- {series}{_told(one, '%m-%d %H:%M')}; {_seen(one)}"
    yield ""


def _told(one: Raised, form: str) -> str:
    anomaly = one.anomaly
    rarity = f"once in {anomaly.rarity:.2g} d" if anomaly.rarity < _LONGEST_RARITY else "over 1,000 d"
    mark = "\\*" if anomaly.provisional else ""
    return f"{_time(anomaly.opened, form)} {anomaly.metric}: {anomaly.title} ({rarity}{mark}, rank {one.rank})"


def _seen(one: Raised) -> str:
    anomaly = one.anomaly
    expected = "" if anomaly.expected is None else f" where {anomaly.expected:.4g} was expected"
    return f"{anomaly.observed:.4g}{expected}, fired: {', '.join(anomaly.agreeing) or 'none alone'}"


def _variants(study: Study) -> Iterator[str]:
    yield "## How much hangs on a number\n"
    yield "The short captures again, one thing changed in the configuration at a time.\n"
    short = [one for one in study.captures if one.variants]
    names = list(dict.fromkeys(name for one in short for name in one.variants))
    rows = [("as it is", *(_in_short(one, one.run) for one in short))]
    rows += [(name, *(_in_short(one, one.variants[name]) for one in short)) for name in names]
    yield _table(("configuration", *(one.capture.name for one in short)), rows)


def _in_short(one: Studied, run: Run) -> str:
    episodes = sum(not raised.silence for raised in run.raised)
    told = (f"{held.hits} within {_length(held.seconds)}" for held in tolerances_of(one.capture, run))
    return f"{episodes} episodes; hits: {', '.join(told)}"


def study_as_json(study: Study) -> bytes:
    """Plain values: a line a capture's figures, known thing and episode."""
    return b"[\n" + b",\n".join(_capture_as_json(one) for one in study.captures) + b"\n]\n"


def _capture_as_json(one: Studied) -> bytes:
    capture, run = one.capture, one.run
    figures: dict[str, Any] = {
        "capture": capture.name,
        "file": capture.file,
        "alarm_budget": one.settings.analyzer.lanes.ensemble.alarm_budget,
        "series": run.series,
        "windows": run.windows,
        "provisional": run.provisional,
        "holes": run.holes,
        "hits": [
            {"tolerance": held.seconds, "hits": held.hits, "by_chance": round(held.by_chance, 3)}
            for held in tolerances_of(capture, run)
        ],
    }
    known = [
        {
            "what": found.known.what,
            "start": _iso(found.known.start.timestamp()),
            "verdict": found.verdict,
            "alerting": _rounded(found.alerting),
            "by": [raised.anomaly.id for raised in found.by],
        }
        for found in matched(capture, run)
    ]
    lists = {"known": known, "raised": [_raised_as_dict(raised) for raised in run.raised]}
    parts = [to_json(figures)[:-1]]
    parts += [f'"{name}": [\n'.encode() + b",\n".join(map(to_json, rows)) + b"\n]" for name, rows in lists.items()]
    return b",\n".join(parts) + b"}"


def _raised_as_dict(one: Raised) -> dict[str, Any]:
    anomaly = one.anomaly
    return {
        "id": anomaly.id,
        "series": anomaly.series,
        "metric": anomaly.metric,
        "kind": anomaly.kind.value,
        "title": anomaly.title,
        "opened": _iso(anomaly.opened),
        "closed": None if anomaly.closed is None else _iso(anomaly.closed),
        "observed": _rounded(anomaly.observed),
        "expected": None if anomaly.expected is None else _rounded(anomaly.expected),
        "evidence": _rounded(anomaly.evidence),
        "rarity_days": _rounded(anomaly.rarity),
        "rank": one.rank,
        "provisional": anomaly.provisional,
        "fired": anomaly.agreeing,
        "places": one.places,
    }


def save_report(folder: Path, study: Study) -> None:
    """Write ``real_data.md`` and ``real_data.json`` into a folder.

    Raises
    ------
    StoreError
        When the disk refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "real_data.md").write_text(study_as_markdown(study), encoding="utf-8")
        (folder / "real_data.json").write_bytes(study_as_json(study))
    except OSError as error:
        raise StoreError(f"cannot write into {folder}: {error.strerror}") from error


def _time(seconds: float, form: str) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime(form)


def _iso(seconds: float) -> str:
    return _time(seconds, "%Y-%m-%dT%H:%M:%SZ")


def _length(seconds: float) -> str:
    return f"{seconds / 60.0:g} min"


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = (heads, ["---"] * len(heads), *rows)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)
