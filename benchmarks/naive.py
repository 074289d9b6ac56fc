"""What one would write first: json, a streamz node for every step, river, an emit an event.

It answers the same question (which seconds are unusual, and which dimension values differ), reads the same
recording, and is what :mod:`speed` compares with.
"""

from __future__ import annotations

import gzip
import json
import time
from collections import Counter, deque
from pathlib import Path
from statistics import fmean, pstdev

from river import anomaly, compose, preprocessing
from streamz import Stream


class Edit:
    """The fields of one edit that matter."""

    def __init__(self, fields):
        self.time = fields["time"]
        self.dimensions = fields["dimensions"]
        self.page, self.editor = fields.get("subject"), fields.get("actor")
        self.byte_change = fields["measures"][0]


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
        for counter, value in zip(self.dimensions, event.dimensions, strict=True):
            counter[value] += 1
        self.pages.add(event.page)
        self.editors.add(event.editor)
        self.bytes += abs(event.byte_change)


def run(path: Path) -> tuple[float, int]:
    """Replay a recording; returns the CPU seconds it took and how many events there were."""
    trees = compose.Pipeline(
        preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=25, height=8, window_size=250, seed=1)
    )
    recent, ewma, baseline = deque(maxlen=60), None, [Counter() for _ in range(5)]
    found, events = [], 0
    source = Stream()

    def gather(second, event):
        nonlocal events
        events += 1
        start = int(event.time)
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

    (
        source.map(json.loads)
        .map(lambda batch: batch.get("events", []))
        .flatten()
        .map(Edit)
        .accumulate(gather, start=None, returns_state=True)
        .filter(lambda second: second is not None)
        .map(judge)
        .filter(lambda word: abs(word[1]) > 3.2 or word[3] > 0.85)
        .sink(found.append)
    )
    began = time.process_time()
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            source.emit(line)
    taken = time.process_time() - began
    source.destroy()
    return taken, events
