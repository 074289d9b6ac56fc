"""A made-up world of wikis, editors and pages, with shares that resemble the real ones.

Names of wikis are real, because charts should look like what they will show; editors and pages are numbers. The world
is the same whatever the seed of the stream drawn from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Event

__all__ = ["DIMENSIONS", "MIX", "VALUES", "Columns", "culprit_mask", "draw_edits", "event_at", "join"]

# fmt: off
_LANGUAGES = (
    "en", "de", "fr", "es", "ru", "ja", "it", "zh", "pt", "pl", "ar", "uk", "nl", "fa", "sv", "cs", "vi",
    "ko", "he", "id", "tr", "fi", "hu", "no", "ca", "ro", "da", "el", "bg", "sr", "th", "hi", "eu", "sk",
    "et", "lt", "sl", "hr", "ms", "az",
)
# fmt: on
_DOMAINS = (
    "en.wikipedia.org",
    "www.wikidata.org",
    "commons.wikimedia.org",
    *(f"{language}.wikipedia.org" for language in _LANGUAGES[1:]),
    *(f"{language}.wiktionary.org" for language in _LANGUAGES[:30]),
    *(f"{language}.wikisource.org" for language in _LANGUAGES[:28]),
)
_NAMESPACE_SHARES = {
    "article": 0.60,
    "user": 0.12,
    "talk": 0.08,
    "user talk": 0.06,
    "project": 0.05,
    "file": 0.04,
    "template": 0.03,
    "category": 0.02,
}
_TITLES = {
    "article": "Page ",
    "user": "User:Editor ",
    "talk": "Talk:Page ",
    "user talk": "User talk:Editor ",
    "project": "Project:Page ",
    "file": "File:Picture ",
    "template": "Template:Box ",
    "category": "Category:Group ",
}
_ACTORS = ("bot", "registered", "anonymous")
_EDITOR_NOUNS = {"bot": "Bot ", "registered": "Editor ", "anonymous": "Visitor "}
_ANONYMOUS_SHARE = 0.22
_ZIPF = 1.1

_NEW_SHARE = 0.04
_REMOVING_SHARE = 0.25
_SIZE_MEDIAN_LOG, _SIZE_SPREAD, _LARGEST_CHANGE = 3.6, 1.7, 500_000
_LAG_SPREAD = math.log(11) / 2.326  # median 1 s, 99th percentile 11 s
_LONGEST_LAG = 60.0
_FIRST_NEW_PAGE = 5_000_000


def _language(domain: str) -> str:
    code = domain.partition(".")[0]
    return code if code in _LANGUAGES else "multilingual"


VALUES: Mapping[str, tuple[str, ...]] = {
    "wiki": _DOMAINS,
    "language": ("multilingual", *_LANGUAGES),
    "namespace": tuple(_NAMESPACE_SHARES),
    "actor": _ACTORS,
}
"""Values that a culprit may have, the most frequent wikis first."""

_SHAPE = (len(_DOMAINS), len(_NAMESPACE_SHARES), len(_ACTORS))
_LANGUAGE_OF_WIKI = np.array([VALUES["language"].index(_language(domain)) for domain in _DOMAINS])


def _normal_mix() -> NDArray[np.float64]:
    rng = np.random.default_rng(2024)
    wikis = 1 / np.arange(1, len(_DOMAINS) + 1) ** _ZIPF
    bots = np.clip(rng.beta(2, 4, len(_DOMAINS)), 0.02, 0.95)
    people = 1 - bots
    actors = np.stack([bots, people * (1 - _ANONYMOUS_SHARE), people * _ANONYMOUS_SHARE], axis=1)
    namespaces = np.array(list(_NAMESPACE_SHARES.values()))
    mix = wikis[:, None, None] * namespaces[None, :, None] * actors[:, None, :]
    return np.asarray(mix / mix.sum())


MIX = _normal_mix()
"""Share of each (wiki, namespace, actor) on an ordinary day; its flat positions are called cells."""


def _pools() -> tuple[NDArray[np.int64], ...]:
    """Number of editors and pages of each cell, and the number that their first one has."""
    by_wiki_and_actor = MIX.sum(1)
    editors = (np.array([100, 20_000, 20_000]) * by_wiki_and_actor + np.array([3, 30, 200])).astype(np.int64)
    first_editor = (np.cumsum(editors.ravel()) - editors.ravel()).reshape(editors.shape)
    by_wiki_and_namespace = MIX.sum(2)
    pages = (500_000 * by_wiki_and_namespace + 50).astype(np.int64)
    first_page = (np.cumsum(pages.ravel()) - pages.ravel()).reshape(pages.shape)
    wide = (np.broadcast_to(one[:, None, :], _SHAPE).ravel() for one in (editors, first_editor))
    deep = (np.broadcast_to(one[:, :, None], _SHAPE).ravel() for one in (pages, first_page))
    return *wide, *deep


_EDITORS, _FIRST_EDITOR, _PAGES, _FIRST_PAGE = _pools()
DIMENSIONS = tuple(
    tuple((domain, _language(domain), namespace, actor, kind) for kind in ("edit", "new"))
    for domain in _DOMAINS
    for namespace in _NAMESPACE_SHARES
    for actor in _ACTORS
)
"""The feed's dimensions of an edit, by its cell and by whether it makes a page."""


class Columns(msgspec.Struct, frozen=True):
    """Edits as arrays of one length: undisturbed arrival and occurrence in seconds, the rest as numbers."""

    arrived_at: NDArray[np.float64]
    occurred_at: NDArray[np.float64]
    cell: NDArray[np.int64]
    editor: NDArray[np.int64]
    page: NDArray[np.int64]
    byte_change: NDArray[np.int64]
    new: NDArray[np.bool_]

    def take(self, which: NDArray[np.int64] | NDArray[np.bool_]) -> Columns:
        """Edits at these positions, or where this is true."""
        return Columns(*(column[which] for column in msgspec.structs.astuple(self)))

    def event(self, position: int, *, id: str, time: float, arrived_at: float) -> Event:  # noqa: A002
        """Make the Event of one position."""
        return event_at(self, position, id=id, time=time, arrived_at=arrived_at)


def join(parts: Sequence[Columns]) -> Columns:
    """Edits of all parts, one part after the other."""
    return Columns(*(np.concatenate(column) for column in zip(*map(msgspec.structs.astuple, parts), strict=True)))


def culprit_mask(culprit: Mapping[str, str]) -> NDArray[np.bool_]:
    """Cells that belong to a culprit, in the shape of :data:`MIX`; all of them when it is empty.

    Raises
    ------
    ConfigError
        When there is no such dimension or value.
    """
    mask = np.ones(_SHAPE, bool)
    wiki, namespace, actor = np.ogrid[tuple(slice(n) for n in _SHAPE)]
    positions = {"wiki": wiki, "namespace": namespace, "actor": actor, "language": _LANGUAGE_OF_WIKI[wiki]}
    for dimension, value in culprit.items():
        if value not in VALUES.get(dimension, ()):
            msg = f"nothing in the simulated world has {dimension} = {value!r}; dimensions are {', '.join(VALUES)}"
            raise ConfigError(msg)
        mask &= positions[dimension] == VALUES[dimension].index(value)
    return mask


def draw_edits(
    rng: np.random.Generator,
    times: NDArray[np.float64],
    shares: NDArray[np.float64],
    run: tuple[int, int] | None = None,
) -> Columns:
    """Draw an edit for each time of arrival.

    Parameters
    ----------
    times
        Seconds.
    shares
        Weight of each cell, in the shape of :data:`MIX`.
    run
        An editor and a first page: all edits are then by this one, who goes from page to page.
    """
    count = len(times)
    cumulated = np.cumsum(shares.ravel())
    cell = np.searchsorted(cumulated, rng.random(count) * cumulated[-1], side="right")
    # few editors and pages of a wiki make most of its edits
    editor = (_EDITORS[cell] * rng.random(count) ** 3).astype(np.int64) + _FIRST_EDITOR[cell]
    page = (_PAGES[cell] * rng.random(count) ** 2).astype(np.int64) + _FIRST_PAGE[cell]
    new = rng.random(count) < _NEW_SHARE
    size = np.exp(rng.normal(_SIZE_MEDIAN_LOG, _SIZE_SPREAD, count)).clip(max=_LARGEST_CHANGE)
    removes = (rng.random(count) < _REMOVING_SHARE) & ~new
    lag = np.exp(rng.normal(0, _LAG_SPREAD, count)).clip(max=_LONGEST_LAG)
    if run is not None:
        editor = np.full(count, run[0])
        page = run[1] + np.arange(count)
        size = np.exp(rng.normal(_SIZE_MEDIAN_LOG, 0.2, count))  # a bot does one thing
    page = np.where(new, _FIRST_NEW_PAGE + (times * 10).astype(np.int64) % _FIRST_NEW_PAGE, page)
    byte_change = np.where(removes, -size, size).astype(np.int64)
    return Columns(np.round(times, 3), np.round(times - lag, 3), cell, editor, page, byte_change, new)


def event_at(columns: Columns, position: int, *, id: str, time: float, arrived_at: float) -> Event:  # noqa: A002
    """Make the Event of one position. It has no link: such pages exist nowhere."""
    cell = int(columns.cell[position])
    dimensions = DIMENSIONS[cell][int(columns.new[position])]
    wiki, _, namespace, actor, _ = dimensions
    title = f"{_TITLES[namespace]}{columns.page[position]}"
    return Event(
        time=time,
        occurred_at=float(columns.occurred_at[position]),
        arrived_at=arrived_at,
        series=WIKIMEDIA.series[0],
        id=id,
        dimensions=dimensions,
        measures=(float(columns.byte_change[position]),),
        actor=f"{_EDITOR_NOUNS[actor]}{columns.editor[position]}",
        subject=f"{wiki}:{title}",
        title=title,
    )
