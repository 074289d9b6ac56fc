"""schemathesis asks the running server everything that its OpenAPI allows, and much that it does not."""

from __future__ import annotations

import copy
import json
import os

import pytest
import schemathesis
from api_server import TOKENS, access_with_tokens, kept, served_api
from console_stand_in import console
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from tracewave_panel.api.application import build_api
from tracewave_panel.codec import to_json
from tracewave_panel.metrics import Metrics

EXAMPLES = int(os.environ.get("TRACEWAVE_SCHEMA_EXAMPLES", "20"))
"""Of each operation, beside those that schemathesis derives from the schema."""

# A text may be well formed and still no SQL, no cursor of this run, or a time that is over.
CONFIGURATION = {
    "headers": {"Authorization": f"Bearer {TOKENS['admin']}"},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ["2xx", "400", "404", "410", "422"]},
        "negative_data_rejection": {"expected-statuses": ["400", "401", "404", "405", "406", "413", "415", "422"]},
    },
}
DESCRIPTION = json.loads(to_json(build_api(console(), access=access_with_tokens(), metrics=Metrics()).openapi()))

schema = schemathesis.openapi.from_dict(copy.deepcopy(DESCRIPTION), config=SchemathesisConfig.from_dict(CONFIGURATION))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with (
        kept(tmp_path_factory.mktemp("kept"), 120) as kept_console,
        served_api(kept_console, access=access_with_tokens()) as served,
    ):
        yield served


def test_what_is_tried_is_what_the_running_server_describes(served):
    with served.client() as client:
        assert client.get("/openapi.json").json() == DESCRIPTION


@pytest.mark.slow
@schema.parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=EXAMPLES <= 20,
    database=None,
)
def test_every_answer_is_as_described(served, case):
    case.call_and_validate(base_url=served.url)
