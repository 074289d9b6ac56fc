"""Every capture through the engine, the variants on the short ones, and noise in which there is nothing to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.lab.real_data.captures import (
    BARS,
    FLOW,
    busiest_wikis,
    druid_batches,
    measured_batches,
    noise_batches,
    wiki_batches,
)
from tracewave_panel.lab.real_data.configuration import Configuration
from tracewave_panel.lab.real_data.judging import Run, run_capture
from tracewave_panel.lab.real_data.known import Capture
from tracewave_panel.pipeline import PipelineSettings
from tracewave_panel.playback import joined

__all__ = ["Studied", "Study", "study_captures"]

_BUSIEST = 20
_NOISE_SEED = 1
_MINUTES = "minutes"


class Studied(msgspec.Struct, frozen=True):
    """A capture and what the engine made of it; `variants` by their names."""

    capture: Capture
    settings: PipelineSettings
    run: Run
    variants: Mapping[str, Run]


class Study(msgspec.Struct, frozen=True):
    """All of them, and the noise."""

    captures: tuple[Studied, ...]
    noise: Run
    noise_settings: PipelineSettings


def study_captures(
    folder: Path,
    captures: tuple[Capture, ...],
    configuration: Configuration,
    *,
    noise_days: int = 7,
    progress: Callable[[str], None] = lambda _name: None,
) -> Study:
    """Judge the captures below a folder.

    Parameters
    ----------
    progress
        Called with the name of each before it begins.

    Raises
    ------
    ConfigError
        When a capture is missing or cannot be read, or is of a kind that the configuration lacks.
    """
    studied = []
    for capture in captures:
        progress(capture.name)
        if capture.kind not in configuration.kinds:
            raise ConfigError(f"{capture.name} is of the kind {capture.kind!r}, which the configuration does not have")
        settings = configuration.kinds[capture.kind]
        variants = configuration.variants if capture.short else {}
        studied.append(
            Studied(
                capture,
                settings,
                _run(folder / capture.file, capture, settings),
                {
                    name: _run(folder / capture.file, capture, changed[capture.kind])
                    for name, changed in variants.items()
                },
            )
        )
    progress("noise")
    settings = configuration.kinds[_MINUTES]
    noise = noise_batches(round(noise_days * 86_400.0 / settings.width), settings.width, _NOISE_SEED)
    return Study(tuple(studied), run_capture(FLOW, settings, noise), settings)


def _run(path: Path, capture: Capture, settings: PipelineSettings) -> Run:
    if capture.reader == "bars":
        return run_capture(BARS, settings, measured_batches(path, BARS, "BTC-PERP", settings.width))
    if capture.reader == "flow":
        return run_capture(FLOW, settings, measured_batches(path, FLOW, "water", settings.width))
    batches = druid_batches(path)
    if capture.reader == "edits":
        return run_capture(WIKIMEDIA, settings, joined(batches, settings.width))
    wikis = sorted({*busiest_wikis(batches, _BUSIEST), *(known.wiki for known in capture.known)})
    feed = msgspec.structs.replace(WIKIMEDIA, series=tuple(wikis))
    return run_capture(feed, settings, joined(wiki_batches(batches, wikis), settings.width))
