"""Settings: three places, one order, and an answer in words to every mistake."""

from __future__ import annotations

import subprocess
import sys

import msgspec
import pytest

from tracewave_panel.config import Settings, load_settings
from tracewave_panel.core.detectors.zscore import ZScore
from tracewave_panel.errors import ConfigError
from tracewave_panel.feeds import WIKIMEDIA
from tracewave_panel.model import Batch
from tracewave_panel.pipeline import Pipeline


def write(tmp_path, text: str):
    path = tmp_path / "my.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refusal(file=None, environment=(), assignments=()) -> str:
    with pytest.raises(ConfigError) as caught:
        load_settings(file, dict(environment), assignments)
    return str(caught.value)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """No tracewave.toml lies in the current folder."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def test_without_anything_the_defaults_hold():
    assert load_settings(None, {}) == Settings()


def test_later_place_wins(tmp_path):
    file = write(tmp_path, "[window]\nwidth = 2.0\n[episodes]\nquiet = 30\n[bus]\ncapacity = 100\n")
    environment = {"TRACEWAVE_WINDOW__WIDTH": "3", "TRACEWAVE_EPISODES__QUIET": "40"}
    loaded = load_settings(file, environment, ["window.width=4"])
    assert (loaded.window.width, loaded.episodes.quiet, loaded.bus.capacity) == (4.0, 40, 100)


def test_of_two_assignments_the_later_wins():
    assert load_settings(None, {}, ["window.width=4", "window.width=5"]).window.width == 5.0


def test_file_of_the_current_folder_is_read_when_none_is_named(tmp_path):
    (tmp_path / "here" / "tracewave.toml").write_text("[window]\nwidth = 7\n", encoding="utf-8")
    assert load_settings(None, {}).window.width == 7.0


def test_settings_go_on_from_a_base():
    base = load_settings(None, {}, ["window.width=60", "episodes.quiet=5"])
    loaded = load_settings(None, {}, ["episodes.quiet=6"], base=base)
    assert (loaded.window.width, loaded.episodes.quiet) == (60.0, 6)


def test_nested_sections_reach_one_detector_and_leave_the_others(tmp_path):
    zscore = "[detectors.zscore]\nwarm_up = 90\nspans = [1, 5, 20, 40]\n"
    file = write(tmp_path, f"[detectors]\nenabled = ['zscore']\n{zscore}")
    loaded = load_settings(file, {"TRACEWAVE_DETECTORS__ZSCORE__MEMORIES": "90,80,70,60"})
    assert loaded.detectors.enabled == ("zscore",)
    zscore = loaded.detectors.zscore
    assert (zscore.spans, zscore.warm_up, zscore.limit) == ((1, 5, 20, 40), 90, ZScore.defaults.limit)
    assert zscore.memories == (90.0, 80.0, 70.0, 60.0)
    assert loaded.detectors.ewma == Settings().detectors.ewma


@pytest.mark.parametrize(
    "text", ["zscore,ewma", " zscore , ewma ", '["zscore", "ewma"]', "['zscore','ewma']", "zscore,ewma,"]
)
def test_list_is_written_with_commas_or_as_in_the_file(text):
    assert load_settings(None, {}, [f"detectors.enabled={text}"]).detectors.enabled == ("zscore", "ewma")


def test_other_variables_of_the_environment_are_left_alone():
    assert load_settings(None, {"PATH": "/bin", "TRACEWAVE_HOME": "/x", "WINDOW__WIDTH": "9"}) == Settings()


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("window.widht=60", "--set window.widht: there is no such setting; did you mean window.width?"),
        ("detectors.zscor.span=3", "did you mean detectors.zscore.spans?"),
        ("windows.width=3", "did you mean window.width?"),
        ("window=3", "did you mean window.width?"),
        ("window.width.x=3", "there is no such setting"),
        ("qqqqqqqqqqqq=3", "there is no such setting; there are access, bus, calibration, detectors, ensemble"),
        ("bus.qqqqqqqqqqqqqqq=3", "there is no such setting; there are bus.capacity"),
        ("window.__class__=3", "there is no such setting"),
        ("__struct_fields__.x=3", "there is no such setting"),
        ("=3", "there is no such setting"),
        ("window.width", "--set window.width: write it as section.key=value, such as window.width=60"),
    ],
)
def test_unknown_key_is_refused_with_the_nearest_one(assignment, said):
    assert said in refusal(assignments=[assignment])


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("window.width=wide", "--set window.width: 'wide' is not allowed: Expected `float`, got `str`"),
        ("window.width=0", "--set window.width: not allowed: width must be from 0.1 to 86400 seconds, not 0.0"),
        ("window.width=nan", "a finite number is wanted"),
        ("ensemble.critical=inf", "a finite number is wanted"),
        ("ensemble.critical=1.5", "critical must be above 0 and at most 1, not 1.5"),
        ("ensemble.critical=0.1", "warning (0.65) must not be above critical (0.1)"),
        ("episodes.quiet=0", "quiet, acceptance and cooldown must be at least 1"),
        ("episodes.quiet=1.5", "Expected `int`, got `str`"),
        ("explain.windows=0", "windows at least 1"),
        ("explain.memory=0", "memory must be above 0 seconds"),
        ("bus.capacity=0", "capacity must be at least 1 event, not 0"),
        ("store.commit_interval=-1", "must be above 0 seconds"),
        ("detectors.trees.height=20", "height must be from 1 to 10, not 20"),
        ("detectors.trees.warm_up=5", "warm_up must be at least window + 2 = 252, not 5"),
        ("detectors.ewma.warm_up=10", "warm_up must be at least 30, not 10"),
        ("detectors.ewma.memories=60", "memories must hold 3 numbers, one for each of spans"),
        ("detectors.novelty.length=0", "length must be at least 1"),
        ("detectors.seasonal.slot=7", "slot must be a whole part of a day"),
        ("ensemble.alarm_budget=0", "alarm_budget must be above 0 alarms a day"),
        ("calibration.after=0", "after must be above 0 seconds"),
        ("store.warm_start=-1", "warm_start must not be negative"),
        ("store.keep_events=-1", "keep_events must be from 0 to 3,153,600,000 seconds, not -1.0"),
        ("store.keep_windows=59", "keep_windows must be from 60 to 3,153,600,000 seconds, not 59.0"),
        ("store.keep_windows=1e10", "keep_windows must be from 60 to"),
        ("store.keep_events=nan", "a finite number is wanted"),
        ("detectors.enabled=zscore,magic", "no detector is called 'magic'; there are zscore, ewma, trees"),
        ("detectors.enabled=", "at least one detector"),
        ("detectors.enabled=[zscore", "not a list"),
    ],
)
def test_bad_value_is_refused_with_its_name_and_what_is_allowed(assignment, said):
    message = refusal(assignments=[assignment])
    assert said in message
    assert message.startswith(f"--set {assignment.split('=')[0]}: ")


def test_mistake_is_named_by_the_place_it_stands_in(tmp_path):
    file = write(tmp_path, "[window]\nwidth = 'wide'\n")
    assert refusal(file).startswith(f"{file}: window.width: 'wide' is not allowed")
    assert refusal(environment={"TRACEWAVE_WINDOW__WIDTH": "wide"}).startswith("TRACEWAVE_WINDOW__WIDTH: 'wide'")


def test_value_overridden_by_a_later_place_may_break_a_rule(tmp_path):
    file = write(tmp_path, "[window]\nwidth = 0\n")
    assert load_settings(file, {}, ["window.width=1"]).window.width == 1.0


@pytest.mark.parametrize("order", [1, -1])
def test_values_that_hang_together_may_come_in_any_order(order):
    loaded = load_settings(None, {}, ["ensemble.warning=0.9", "ensemble.critical=0.95"][::order])
    assert (loaded.ensemble.warning, loaded.ensemble.critical) == (0.9, 0.95)
    loaded = load_settings(None, {}, ["detectors.zscore.warm_up=70", "detectors.zscore.limit=5"][::order])
    assert (loaded.detectors.zscore.warm_up, loaded.detectors.zscore.limit) == (70, 5)


@pytest.mark.parametrize(
    ("content", "said"), [(b"[window\n", "not a TOML file"), (b"\xff\xfe", "not a TOML file"), (None, "cannot be read")]
)
def test_file_that_cannot_be_read_is_named(tmp_path, content, said):
    path = tmp_path / "broken.toml"
    if content is not None:
        path.write_bytes(content)
    message = refusal(path)
    assert message.startswith(str(path))
    assert said in message


def test_folder_in_place_of_a_file_is_named(tmp_path):
    assert "cannot be read" in refusal(tmp_path)


def test_entry_of_a_table_is_changed_and_the_others_stay():
    loaded = load_settings(None, {"TRACEWAVE_ENSEMBLE__WEIGHTS__TREES": "2"}, ["ensemble.weights.zscore=0.7"])
    assert loaded.ensemble.weights == Settings().ensemble.weights | {"trees": 2.0, "zscore": 0.7}
    assert "Expected `float`" in refusal(assignments=["ensemble.weights.zscore=much"])


def test_every_section_refuses_what_it_does_not_know():
    for name in Settings.__struct_fields__:
        assert f"there are {name}." in refusal(assignments=[f"{name}.{40 * 'q'}=1"])


def test_settings_come_back_from_plain_values():
    assert msgspec.convert(msgspec.to_builtins(Settings()), Settings) == Settings()


def test_settings_make_a_pipeline_that_runs():
    loaded = load_settings(None, {}, ["detectors.enabled=ewma,zscore", "window.width=60", "explain.memory=3600"])
    made = loaded.pipeline()
    assert (list(made.analyzer.lanes.detectors), made.width, made.analyzer.baseline_memory) == (
        ["ewma", "zscore"],
        60.0,
        3600.0,
    )
    assert made.analyzer.acceptance == made.episodes.acceptance
    seen = []
    pipeline = Pipeline(WIKIMEDIA, made, {"list": seen.append})
    pipeline.emit(Batch(0.0, 0.0))
    pipeline.close()
    assert len(seen) == 1


_WITHOUT_RIVER = """
import logging, sys
from importlib.machinery import PathFinder

class WithoutRiver(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] == "river" else super().find_spec(name, path, target)

sys.meta_path = [WithoutRiver if finder is PathFinder else finder for finder in sys.meta_path]
logging.basicConfig(stream=sys.stdout)
from tracewave_panel.config import Settings
from tracewave_panel.core.lane import Lane
from tracewave_panel.feeds import WIKIMEDIA
lanes = Settings().lanes()
Lane(WIKIMEDIA, WIKIMEDIA.metrics[0], lanes)
print(*lanes.detectors)
"""


def test_without_river_the_other_detectors_run_and_it_is_said():
    done = subprocess.run([sys.executable, "-c", _WITHOUT_RIVER], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "zscore ewma novelty seasonal"
    assert "river is not installed, so trees does not take part: pip install river" in done.stdout


ROUTES = """
[[notify]]
name = "ops"
url = "mailto://who:hidden@example.org"
severity = "critical"
dimensions = {wiki = ["dewiki", "en*"]}

[[notify]]
name = "hook"
webhook = "https://example.org/hidden"
secret = "env:HOOK_SECRET"
limit = 5
"""


def test_list_of_tables_becomes_routes_in_their_order(tmp_path):
    ops, hook = load_settings(write(tmp_path, ROUTES), {}).notify
    assert (ops.name, ops.severity.value, ops.dimensions) == ("ops", "critical", {"wiki": ("dewiki", "en*")})
    assert (hook.name, hook.limit, hook.closing) == ("hook", 5, True)
    assert "hidden" not in repr(load_settings(write(tmp_path, ROUTES), {}))


def test_list_of_tables_is_replaced_as_a_whole_by_a_later_place(tmp_path):
    given = 'notify=[{name = "other", url = "json://example.org"}]'
    assert [route.name for route in load_settings(write(tmp_path, ROUTES), {}, [given]).notify] == ["other"]
    assert load_settings(write(tmp_path, ROUTES), {}, ["notify=[]"]).notify == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('name = "hook"', 'name = "ops"'), "notify, table 2: another one is called ops already"),
        (('name = "hook"', ""), "notify, table 2: not allowed: Object missing required field `name`"),
        (("webhook =", "webhok ="), "notify, table 2: not allowed: Object contains unknown field `webhok`"),
        (("limit = 5", "limit = 'x'"), "notify, table 2: not allowed: Expected `int`, got `str` - at `$.limit`"),
        (("limit = 5", "severity = 'loud'"), "notify, table 2: not allowed: Invalid enum value 'loud'"),
        (("mailto://", ""), "notify, table 1: not allowed: url is not an Apprise URL"),
        (("https://", "ftp://"), "notify, table 2: not allowed: webhook is not an address"),
        (("url = ", "hours = '25:00-26:00'\nurl = "), "notify, table 1: not allowed: hours: '25:00-26:00'"),
        (('["dewiki", "en*"]', '"dewiki"'), "Expected `array`, got `str` - at `$.dimensions[...]`"),
    ],
)
def test_bad_table_of_a_list_is_named_and_its_address_is_not_shown(tmp_path, change, said):
    message = refusal(write(tmp_path, ROUTES.replace(*change)))
    assert said in message
    assert message.startswith(str(tmp_path))
    assert "hidden" not in message


@pytest.mark.parametrize(
    "text", ["[notify]\nname = 'ops'\nurl = 'json://hidden'", "notify = 'json://hidden'", "notify = ['json://hidden']"]
)
def test_list_of_tables_that_is_none_is_refused_without_showing_what_it_is(tmp_path, text):
    message = refusal(write(tmp_path, text))
    assert "notify" in message
    assert "hidden" not in message
