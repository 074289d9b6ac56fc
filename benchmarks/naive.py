"""What one would write first: json, a streamz node for every step, river, an emit an event.

It answers the same question (which seconds are unusual, and which dimension values differ), reads the same
recording, and is what :mod:`speed` compares with.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter, deque
from pathlib import Path
from statistics import fmean, pstdev

from river import anomaly, compose, preprocessing
from streamz import Stream


class Second:
    """Counts of the second that is being gathered."""

    def __init__(self, start):
        self.start = start
        self.count = 0
        self.dimensions = [Counter() for _ in range(5)]
        self.pages, self.editors = set(), set()
        self.bytes = 0.0

    def add(self, event):
        """Take in one event."""
        self.count += 1
        for counter, value in zip(self.dimensions, event["dimensions"], strict=True):
            counter[value] += 1
        self.pages.add(event.get("subject"))
        self.editors.add(event.get("actor"))
        self.bytes += abs(event["measures"][0])


def run(path: Path) -> tuple[int, int]:
    """Replay a recording; returns how many events and how many unusual seconds there were."""
    trees = compose.Pipeline(
        preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=1)
    )
    recent, ewma, baseline = deque(maxlen=60), None, [Counter() for _ in range(5)]
    found, events = [], 0
    source = Stream()

    def gather(second, event):
        start = int(event["time"])
        if second is None:
            second = Second(start)
        if start <= second.start:
            second.add(event)
            return second, None
        fresh = Second(start)
        fresh.add(event)
        return fresh, second

    def judge(second):
        nonlocal ewma
        features = {
            "rate": second.count,
            "pages": len(second.pages),
            "editors": len(second.editors),
            "bot_share": second.dimensions[3]["bot"] / second.count,
            "new_share": second.dimensions[4]["new"] / second.count,
            "byte_change": second.bytes / second.count,
        }
        score = trees.score_one(features)
        trees.learn_one(features)
        z = (second.count - fmean(recent)) / (pstdev(recent) or 1.0) if len(recent) > 1 else 0.0
        recent.append(second.count)
        ewma = second.count if ewma is None else ewma + 0.08 * (second.count - ewma)
        excess = [
            sorted(((n - held[value], value) for value, n in counts.items()), reverse=True)[:6]
            for counts, held in zip(second.dimensions, baseline, strict=True)
        ]
        for counts, held in zip(second.dimensions, baseline, strict=True):
            for value in held:
                held[value] *= 0.95
            for value, n in counts.items():
                held[value] += 0.05 * n
        return second.start, z, ewma, score, excess

    source.accumulate(gather, start=None, returns_state=True).filter(lambda second: second is not None).map(
        judge
    ).filter(lambda word: abs(word[1]) > 3.2 or word[3] > 0.85).sink(found.append)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            for event in json.loads(line).get("events", ()):
                events += 1
                source.emit(event)
    source.destroy()
    return events, len(found)
