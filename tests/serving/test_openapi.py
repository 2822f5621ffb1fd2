"""The API against its own description: nothing is answered that it does not say, whatever is sent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serving.app import description
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.json"
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with everything that there is to ask for."""
    folder = tmp_path_factory.mktemp("described")
    (folder / "bundles").mkdir()
    publisher = Publisher(folder)
    model_id = publisher.publish(draft(1))
    config = config_of(
        publisher,
        store=folder / "people.sqlite",
        items=folder / "items.sqlite",
        bundles=folder / "bundles",
        placements={"home": {}, "films": {"vertical": "films"}},
    )
    with started(config, folder) as server:
        server.serves(model_id)
        yield server


def test_whatever_is_sent_only_what_is_described_comes_back(described: Server) -> None:
    """Each operation in turn, with what its description allows and what it does not; schemathesis thinks of both."""
    api = schemathesis.openapi.from_url(f"{described.client.base_url}/openapi.json")
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) > 20
    for operation in operations:
        for mode in schemathesis.GenerationMode:
            if mode is schemathesis.GenerationMode.NEGATIVE and not (operation.body or operation.query):
                continue  # nothing is sent that could be wrong, but for an id, of which any text is one

            @given(case=operation.as_strategy(generation_mode=mode))
            @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            def answers_as_described(case: "schemathesis.Case") -> None:
                if case.path.endswith((":promote", ":shadow", ":roll-back")):
                    case.path_parameters = {"model_id": "r0009-none"}  # other examples need the model
                case.call_and_validate(checks=CHECKS)

            answers_as_described()


def test_the_description_in_the_documentation_is_that_of_the_code() -> None:
    """After a change: `hearth openapi > docs/openapi.json`, and look at what changed."""
    assert json.loads(DESCRIPTION.read_text()) == json.loads(json.dumps(description()))
