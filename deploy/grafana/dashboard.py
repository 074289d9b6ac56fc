"""Builds the Grafana dashboard: ``python deploy/grafana/dashboard.py`` writes ``tracewave.json`` beside it.

Needs what ``make setup-test`` installs. Queries hold no fallback value: a panel without data says that something is
not measured, and tests ask a real Prometheus that each has some.
"""

# ruff: noqa: INP001 (a script and its parts, no package)

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TypeVar

from feed_rows import FEED_ROWS
from grafana_foundation_sdk.builders import common, prometheus, stat, timeseries
from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as looks
from grafana_foundation_sdk.models import dashboard
from panels import AMBER, HERE, RED, TEAL, Panel
from service_rows import SERVICE_ROWS

P = TypeVar("P", timeseries.Panel, stat.Panel)
OUT = Path(__file__).with_name("tracewave.json")
SOURCE = dashboard.DataSourceRef(type_val="prometheus", uid="${datasource}")
ROWS = FEED_ROWS | SERVICE_ROWS
ANNOTATIONS = (
    ("Critical anomalies", RED, 'severity="critical"'),
    ("Warnings", AMBER, 'severity="warning"'),
)


def assemble() -> dashboard.Dashboard:
    """Put the whole dashboard together."""
    board = (
        build.Dashboard("Tracewave")
        .uid("tracewave-health")
        .description("Health of a Tracewave: its feed, windows, detectors, history, API, notices and process.")
        .tags(["tracewave", "generated"])
        .timezone("browser")
        .readonly()
        .refresh("5s")
        .time("now-15m", "now")
        .tooltip(dashboard.DashboardCursorSync.CROSSHAIR)
        .with_variable(build.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
        .with_variable(
            build.QueryVariable("instance")
            .label("Tracewave at")
            .datasource(SOURCE)
            .query("label_values(tracewave_build_info, instance)")
            .refresh(dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED)
            .multi(True)
            .include_all(True)
            .all_value(".*")
            .current(dashboard.VariableOption(selected=True, text="All", value="$__all"))
        )
    )
    for name, colour, where in ANNOTATIONS:
        board = board.annotation(
            build.AnnotationQuery()
            .name(name)
            .datasource(SOURCE)
            .enable(True)
            .icon_color(colour)
            .expr(f"sum(increase(tracewave_anomalies_total{{{HERE}, {where}}}[$__rate_interval])) > 0")
        )
    identity = 0
    for title, panels in ROWS.items():
        identity += 1
        board = board.with_row(build.Row(title).id(identity))
        for panel in panels:
            identity += 1
            board = board.with_panel((_figure(panel) if panel.figure else _lines(panel)).id(identity))
    return board.build()


def _lines(panel: Panel) -> timeseries.Panel:
    style = looks.GraphDrawStyle.BARS if panel.bars else looks.GraphDrawStyle.LINE
    legend = common.VizLegendOptions().display_mode(looks.LegendDisplayMode.LIST)
    made = (
        _described(timeseries.Panel(), panel)
        .height(panel.height or 8)
        .min(0)
        .draw_style(style)
        .line_width(1)
        .fill_opacity(40 if panel.bars else 8)
        .show_points(looks.VisibilityMode.NEVER)
        .legend(legend.placement(looks.LegendPlacement.BOTTOM).show_legend(True))
        .tooltip(common.VizTooltipOptions().mode(looks.TooltipDisplayMode.MULTI).sort(looks.SortOrder.DESCENDING))
    )
    if panel.amber is not None or panel.red is not None:
        drawn = common.GraphThresholdsStyleConfig().mode(looks.GraphTresholdsStyleMode.LINE)
        made = made.thresholds_style(drawn)
    return made


def _figure(panel: Panel) -> stat.Panel:
    made = (
        _described(stat.Panel(), panel)
        .height(panel.height or 4)
        .graph_mode(looks.BigValueGraphMode.NONE if panel.words or panel.named else looks.BigValueGraphMode.AREA)
        .color_mode(looks.BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    )
    if panel.named:
        return made.text_mode(looks.BigValueTextMode.NAME)
    return made.text_mode(looks.BigValueTextMode.AUTO)


def _described(made: P, panel: Panel) -> P:
    steps = [dashboard.Threshold(value=None, color=TEAL)]
    marks = ((panel.amber, AMBER), (panel.red, RED))
    steps += [dashboard.Threshold(value=value, color=colour) for value, colour in marks if value is not None]
    made = (
        made.title(panel.title)
        .description(panel.says)
        .unit(panel.unit)
        .span(panel.width)
        .datasource(SOURCE)
        .thresholds(build.ThresholdsConfig().mode(dashboard.ThresholdsMode.ABSOLUTE).steps(steps))
    )
    if panel.words:
        shown = {
            value: dashboard.ValueMappingResult(text=text, color=colour, index=index)
            for index, (value, (text, colour)) in enumerate(panel.words.items())
        }
        made = made.mappings([dashboard.ValueMap(options=shown)])
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expression).ref_id(letter).datasource(SOURCE)
        made = made.with_target(target.legend_format(query.legend or panel.title).range())
    return made


def render() -> str:
    """Text of ``tracewave.json``."""
    return json.dumps(assemble(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    out = Path(sys.argv[1]) if sys.argv[1:] else OUT
    out.write_text(render(), encoding="utf-8")
    sys.stdout.write(f"{out}: {sum(map(len, ROWS.values()))} panels in {len(ROWS)} rows\n")
