"""Draws the pulse around an episode as a PNG. It holds no text of the feed."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from tracewave_panel.model import Anomaly, AnomalyKind, Origin
from tracewave_panel.notify.pulse import LEAST, LENGTH, Point, in_order
from tracewave_panel.notify.scales import clock_ticks, value_ticks

__all__ = ["draw_pulse"]

WIDTH, HEIGHT = 900, 300
FINE = 3  # drawn so many times larger, then scaled down: Pillow's lines have no smooth edges
LEFT, RIGHT, TOP, BOTTOM = 54, 16, 58, 34

# the dark colours of the page's design tokens
GROUND, PANEL, LINE, GRID = "#0a0e13", "#10161d", "#222d39", "#19222c"
TEXT, TEXT_2, TEXT_3 = "#e8eef4", "#b0bcc8", "#8492a1"
LIVE, EXPECTED, HATCH, HATCH_GROUND = "#54cfe6", "#8aa6b4", "#6b7c8e", "#131a22"
BAND_OUTER, BAND_INNER = (0x54, 0xCF, 0xE6, 0x1C), (0x54, 0xCF, 0xE6, 0x30)
SEVERITY = {"critical": "#ff6e6b", "warning": "#f5b544", "info": "#cfd5df", "none": "#cfd5df"}
KINDS = {
    AnomalyKind.RATE_UP: "Surge",
    AnomalyKind.RATE_DOWN: "Drop",
    AnomalyKind.MIX_SHIFT: "Mix shift",
    AnomalyKind.FEED_SILENT: "Feed silent",
}
DATA = {Origin.LIVE: "", Origin.IMPORTED: "RECORDED DATA", Origin.SIMULATED: "SIMULATED DATA"}


def draw_pulse(anomaly: Anomaly, points: Sequence[Point], origin: Origin, unit: str) -> bytes:
    """PNG of 900 by 300 pixels: observed, expected and its band, the episode, gaps, and times in UTC.

    Parameters
    ----------
    points
        Windows around the episode; without any there is no picture.

    Returns
    -------
    bytes
        Empty when there is nothing to draw.

    Raises
    ------
    OSError
        When the font cannot be read.
    """
    if not points:
        return b""
    return _Drawing(anomaly, points, origin, unit).png()


class _Drawing:
    def __init__(self, anomaly: Anomaly, points: Sequence[Point], origin: Origin, unit: str) -> None:
        self._anomaly, self._origin, self._unit = anomaly, origin, unit
        points = in_order(points)
        last = points[-1]
        self._end = last.start + last.width
        self._start = self._end - max(LENGTH, LEAST * last.width)
        self._points = [point for point in points if point.start >= self._start]
        self._colour = SEVERITY[anomaly.severity.value]
        self._ticks = value_ticks(*self._bounds())
        self._image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), GROUND)
        self._draw = ImageDraw.Draw(self._image, "RGBA")

    def png(self) -> bytes:
        self._draw.rectangle(self._box(self._start, self._end), fill=PANEL)
        self._axes()
        self._gaps()
        self._episode_ground()
        for runs, share, colour in ((self._expected_runs(), 2.0, BAND_OUTER), (self._expected_runs(), 1.0, BAND_INNER)):
            for run in runs:
                self._band(run, share, colour)
        self._observed()
        for run in self._expected_runs():
            self._dashes([(self._x(point.start + point.width / 2), self._y(point.expected or 0.0)) for point in run])
        self._episode_marks()
        self._words()
        image = self._image.reduce(FINE)
        written = io.BytesIO()
        image.save(written, "PNG")
        return written.getvalue()

    # -- scales

    def _bounds(self) -> tuple[float, float]:
        seen = [point.observed for point in self._points if not point.gap and math.isfinite(point.observed)]
        for point in self._points:
            if point.expected is not None and math.isfinite(point.expected):
                spread = point.spread or 0.0
                seen += [point.expected - 2 * spread, point.expected + 2 * spread]
        if not seen:
            return 0.0, 1.0
        low, high = min(seen), max(seen)
        return (0.0 if low < 0.5 * high or high <= 0 else low), high

    def _x(self, moment: float) -> float:
        share = (moment - self._start) / (self._end - self._start)
        return FINE * (LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT - RIGHT))

    def _y(self, value: float) -> float:
        low, high = self._ticks[0], self._ticks[-1]
        share = (value - low) / (high - low)
        return FINE * (HEIGHT - BOTTOM - min(1.0, max(0.0, share)) * (HEIGHT - TOP - BOTTOM))

    def _box(self, start: float, end: float) -> list[float]:
        return [self._x(start), float(FINE * TOP), self._x(end), float(FINE * (HEIGHT - BOTTOM))]

    # -- ground

    def _axes(self) -> None:
        font = _font(11)
        for value in self._ticks:
            y = self._y(value)
            self._draw.line([(FINE * LEFT, y), (FINE * (WIDTH - RIGHT), y)], fill=GRID, width=FINE)
            self._draw.text((FINE * (LEFT - 8), y), f"{value:,.10g}", font=font, fill=TEXT_3, anchor="rm")
        for moment, words in clock_ticks(self._start, self._end):
            x = self._x(moment)
            self._draw.line([(x, FINE * TOP), (x, FINE * (HEIGHT - BOTTOM))], fill=GRID, width=FINE)
            self._draw.text((x, FINE * (HEIGHT - BOTTOM + 8)), words, font=font, fill=TEXT_3, anchor="ma")
        self._draw.text((FINE * 8, FINE * (HEIGHT - BOTTOM + 8)), "UTC", font=font, fill=TEXT_3)
        low = FINE * (HEIGHT - BOTTOM)
        self._draw.line([(FINE * LEFT, low), (FINE * (WIDTH - RIGHT), low)], fill=LINE, width=FINE)

    def _gaps(self) -> None:
        for start, end in _stretches([point for point in self._points if point.gap]):
            left, top, right, bottom = self._box(start, end)
            tile = Image.new("RGB", (max(1, round(right - left)), round(bottom - top)), HATCH_GROUND)
            pen = ImageDraw.Draw(tile)
            for offset in range(-tile.height, tile.width, 9 * FINE):
                pen.line([(offset, tile.height), (offset + tile.height, 0)], fill=HATCH, width=FINE)
            self._image.paste(tile, (round(left), round(top)))

    def _episode(self) -> tuple[float, float]:
        closed = self._anomaly.closed
        return max(self._start, self._anomaly.opened), self._end if closed is None else min(self._end, closed)

    def _episode_ground(self) -> None:
        start, end = self._episode()
        if end > start:
            left, top, right, bottom = self._box(start, end)
            self._draw.rectangle([left, top, max(right, left + 2 * FINE), bottom], fill=_faint(self._colour))

    # -- lines

    def _expected_runs(self) -> Iterator[list[Point]]:
        return _runs([point for point in self._points if point.expected is not None and not point.gap])

    def _band(self, run: Sequence[Point], share: float, colour: tuple[int, int, int, int]) -> None:
        def edge(point: Point, sign: float) -> tuple[float, float]:
            value = (point.expected or 0.0) + sign * share * (point.spread or 0.0)
            return self._x(point.start + point.width / 2), self._y(value)

        if len(run) > 1:
            corners = [edge(point, 1) for point in run] + [edge(point, -1) for point in reversed(run)]
            self._draw.polygon(corners, fill=colour)

    def _dashes(self, way: Sequence[tuple[float, float]], dash: float = 6.0 * FINE) -> None:
        """Dashes of equal length along x, however close the points are."""
        drawn: list[tuple[float, float]] = []
        for x, y in way:
            if int(x // dash) % 2 == 0:
                drawn.append((x, y))
            elif drawn:
                self._stroke(drawn, EXPECTED, 2.2)
                drawn = []
        self._stroke(drawn, EXPECTED, 2.2)

    def _observed(self) -> None:
        for run in _runs([point for point in self._points if not point.gap]):
            way = [(self._x(point.start + point.width / 2), self._y(point.observed)) for point in run]
            if len(way) == 1:
                x, y = way[0]
                self._draw.ellipse([x - 2 * FINE, y - 2 * FINE, x + 2 * FINE, y + 2 * FINE], fill=LIVE)
            self._stroke(way, LIVE, 1.6)

    def _stroke(self, way: Sequence[tuple[float, float]], colour: str, width: float) -> None:
        if len(way) > 1:
            self._draw.line(list(way), fill=colour, width=round(width * FINE), joint="curve")

    # -- the episode, and words

    def _episode_marks(self) -> None:
        start, end = self._episode()
        if end <= start:
            return
        left, top, right, _ = self._box(start, end)
        self._draw.rectangle([left, top - 3 * FINE, max(right, left + 2 * FINE), top], fill=self._colour)
        peak = next((point for point in self._points if point.start == self._anomaly.peaked and not point.gap), None)
        if peak is not None:
            x, y, size = self._x(peak.start + peak.width / 2), self._y(peak.observed), 4.5 * FINE
            self._draw.ellipse([x - size, y - size, x + size, y + size], fill=GROUND)
            size -= FINE
            self._draw.ellipse([x - size, y - size, x + size, y + size], fill=self._colour)

    def _words(self) -> None:
        anomaly = self._anomaly
        x = FINE * 16
        shape, turned = {"critical": (4, 45), "warning": (3, 0)}.get(anomaly.severity.value, (0, 0))
        middle, size = FINE * 21, 6 * FINE
        if shape:
            self._draw.regular_polygon((x + size, middle, size + FINE), shape, turned, fill=self._colour)
        else:
            self._draw.ellipse([x, middle - size, x + 2 * size, middle + size], fill=self._colour)
        x += 2 * size + 8 * FINE
        state = "closed" if anomaly.closed is not None else "open"
        for words, font, colour in (
            (anomaly.severity.value.capitalize() if anomaly.severity.rank else "Info", _font(15, 650), self._colour),
            (f"{KINDS[anomaly.kind]}, {state}", _font(15, 600), TEXT),
            (self._against(), _font(13), TEXT_2),
        ):
            self._draw.text((x, middle), words, font=font, fill=colour, anchor="lm")
            x += round(self._draw.textlength(words, font=font)) + 12 * FINE
        if DATA[self._origin]:
            self._draw.text(
                (FINE * (WIDTH - RIGHT), middle), DATA[self._origin], font=_font(13, 700), fill=TEXT, anchor="rm"
            )
        self._legend()

    def _against(self) -> str:
        observed, expected = self._anomaly.observed, self._anomaly.expected
        if self._anomaly.kind is AnomalyKind.FEED_SILENT:
            return "no events came"
        against = "" if expected is None else f" against {_figure(expected)} expected"
        return f"{_figure(observed)} {self._unit}{against}"

    def _legend(self) -> None:
        font, y, x = _font(11), FINE * 43, float(FINE * LEFT)
        entries = [("observed", LIVE), ("expected and its usual range", EXPECTED), ("this episode", self._colour)]
        if any(point.gap for point in self._points):
            entries.append(("no data", HATCH))
        for words, colour in entries:
            if colour == EXPECTED:
                self._draw.rectangle([x, y - 5 * FINE, x + 14 * FINE, y + 5 * FINE], fill=BAND_INNER)
                for left in (x, x + 8 * FINE):
                    self._draw.rectangle([left, y - FINE, left + 6 * FINE, y + FINE], fill=colour)
            else:
                self._draw.rectangle([x, y - 1.5 * FINE, x + 14 * FINE, y + 1.5 * FINE], fill=colour)
            x += 20 * FINE
            self._draw.text((x, y), words, font=font, fill=TEXT_2, anchor="lm")
            x += self._draw.textlength(words, font=font) + 18 * FINE
        self._draw.text((FINE * (WIDTH - RIGHT), y), self._unit, font=font, fill=TEXT_3, anchor="rm")


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Points that follow one another without a hole."""
    run: list[Point] = []
    for point in points:
        if run and point.start - run[-1].start > 1.5 * point.width:
            yield run
            run = []
        run.append(point)
    if run:
        yield run


def _stretches(points: Sequence[Point]) -> Iterator[tuple[float, float]]:
    for run in _runs(points):
        yield run[0].start, run[-1].start + run[-1].width


def _faint(colour: str) -> tuple[int, int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), 0x24


def _figure(value: float) -> str:
    return f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}"


@lru_cache(maxsize=16)
def _font(size: int, weight: int = 450) -> Any:
    file = files("tracewave_panel") / "app" / "assets" / "fonts" / "inter-latin-wght-normal.woff2"
    font = ImageFont.truetype(io.BytesIO(file.read_bytes()), size * FINE)
    font.set_variation_by_axes([weight])
    return font
