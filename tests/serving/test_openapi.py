"""The API against its own description, with API keys and without: nothing is answered that it does not say."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from feature_store.item_bundle import make_bundle
from serving.app import description
from serving.openapi_examples import EXAMPLES
from serving.schemas import ProblemBody
from tests.serving.access.keyed import KeyFile, bearer
from tests.serving.published import Publisher, draft
from tests.serving.running import Server, config_of, started

DESCRIPTION = Path(__file__).parents[2] / "docs" / "openapi.json"
DESCRIBED = description()
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
OTHERS = {"recommend": "ingest", "ingest": "recommend", "admin": "recommend", "metrics": "recommend"}
LARGEST_BODY = 20_000  # bytes


class Described(NamedTuple):
    """A server with everything that there is to ask for.

    model_id, before: the checkpoint that answers, and the one that did before it.
    secrets: its API keys by name; none: it wants none.
    """

    server: Server
    model_id: str
    before: str
    secrets: dict[str, str]

    def may(self, name: str) -> dict[str, str]:
        """The header that names this key, where the server wants one."""
        return bearer(self.secrets[name]) if self.secrets else {}


class Operation(NamedTuple):
    """One operation of the description."""

    method: str
    path: str
    said: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.said["operationId"])

    def request(self, ids: dict[str, str]) -> dict[str, Any]:
        """Its example, with ids that this server has made in place of those of another."""
        address, query = self.path, {}
        for parameter in self.said.get("parameters", ()):
            value = ids.get(parameter["name"], parameter.get("example"))
            if parameter["in"] == "path":
                address = address.replace(f"{{{parameter['name']}}}", value)
            elif parameter["in"] == "query" and value is not None:
                query[parameter["name"]] = value
        body = self.said.get("requestBody", {"content": {"application/json": {}}})["content"]["application/json"]
        return {"method": self.method, "url": address, "params": query, "json": body.get("example")}


def operations() -> list[Operation]:
    return [
        Operation(method.upper(), path, said)
        for path, item in DESCRIBED["paths"].items()
        for method, said in item.items()
    ]


@pytest.fixture(scope="module", params=["without keys", "with keys"])
def described(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Described]:
    folder = tmp_path_factory.mktemp("described")
    (folder / "bundles").mkdir()
    publisher = Publisher(folder)
    before, model_id = (publisher.publish(draft(seed)) for seed in (1, 2))
    for each in (before, model_id):  # an example rolls back: whichever of them answers has a bundle
        sealed = make_bundle(publisher.registry.load(each), {}, publisher.key)
        (folder / "bundles" / f"{each}.bundle").write_bytes(sealed.to_bytes())
    keys = KeyFile(folder / "keys.json")
    if request.param == "with keys":
        every = tuple(OTHERS)
        keys.add("chief", *every)
        keys.add("tenants", *every, tenant="shop")
        keys.add("spent", *every, per_second=1e-3, burst=1)
        for scope in OTHERS:
            keys.add(scope, scope)
    config = config_of(
        publisher,
        store=folder / "people.sqlite",
        items=folder / "items.sqlite",
        bundles=folder / "bundles",
        placements={"home": {}, "films": {"vertical": "films"}},
        api_keys=keys.file if keys.secrets else None,
        max_body_bytes=LARGEST_BODY,
        body_seconds=0.3,
    )
    with started(config, folder) as server:
        server.serves(model_id)
        yield Described(server, model_id, before, keys.secrets)


def test_whatever_is_sent_only_what_is_described_comes_back(described: Described) -> None:
    """Each operation in turn, with what its description allows and what it does not; schemathesis thinks of both.

    With keys, most requests have one that may do everything, so that they come further than the gate.
    """
    api = schemathesis.openapi.from_url(f"{described.server.client.base_url}/openapi.json")
    found = [operation.ok() for operation in api.get_all_operations()]
    assert len(found) == len(EXAMPLES)
    keys = ["chief", "chief", "chief", "tenants", "metrics", "spent"]
    for operation in found:
        for mode in schemathesis.GenerationMode:
            if mode is schemathesis.GenerationMode.NEGATIVE and not (operation.body or operation.query):
                continue  # nothing is sent that could be wrong, but for an id, of which any text is one

            @given(case=operation.as_strategy(generation_mode=mode), key=st.sampled_from(keys))
            @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            def answers_as_described(case: "schemathesis.Case", key: str) -> None:
                if case.path.endswith((":promote", ":shadow", ":roll-back")):
                    case.path_parameters = {"model_id": "r0009-none"}  # other examples need the model
                reply = case.call_and_validate(checks=CHECKS, headers=described.may(key))
                if reply.status_code >= 400:
                    assert reply.headers["content-type"] == ["application/problem+json"]

            answers_as_described()


def test_each_example_is_sent_and_answered(described: Described) -> None:
    """What is read comes after what is written, and what is taken away comes last."""
    order = {"POST": 0, "PUT": 0, "GET": 1, "DELETE": 2}
    ids = {"model_id": described.model_id}
    for operation in sorted(operations(), key=lambda one: (order[one.method], one.name == "roll_back_model")):
        changes = {"model_id": described.before} if operation.name == "shadow_model" else {}
        reply = described.server.client.request(**operation.request(ids | changes), headers=described.may("chief"))
        assert reply.is_success, (operation.name, reply.text)
        assert str(reply.status_code) in operation.said["responses"]
        outcomes = reply.json() if reply.status_code == 207 else {}
        assert {one["status"] for many in outcomes.values() for one in many} <= {200, 201}, operation.name
        if operation.name == "erase_person":
            ids["erasure_id"] = reply.json()["erasure_id"]


def test_each_operation_says_which_key_it_wants_and_no_other_is_let_in(described: Described) -> None:
    for operation in operations():
        if not described.secrets:
            assert _asked(described, operation, {}).status_code not in {401, 403, 429}
            continue
        wanted = [scope for each in operation.said["security"] for scope in each["apiKey"]]
        got = {name: _asked(described, operation, bearer(secret)) for name, secret in described.secrets.items()}
        got["nobody"] = _asked(described, operation, {})
        got["wrong"] = _asked(described, operation, bearer("hearth_no"))
        statuses = {name: reply.status_code for name, reply in got.items()}
        if not wanted:
            assert set(statuses.values()) == {200}, operation.name
            continue
        for reply in got.values():
            _is_described(reply, operation)
        assert (statuses["nobody"], statuses["wrong"]) == (401, 401), operation.name
        assert {scope for scope in OTHERS if statuses[scope] != 403} == set(wanted), operation.name
        assert (statuses["tenants"] != 403) == ("a tenant's key will do" in operation.said["description"])
        assert got["nobody"].headers["www-authenticate"].startswith("Bearer")
        assert f'scope="{wanted[0]}"' in got[OTHERS[wanted[0]]].headers["www-authenticate"]
        spent = _asked(described, operation, bearer(described.secrets["spent"]))
        assert spent.status_code == 429
        assert int(spent.headers["retry-after"]) > 1
        _is_described(spent, operation)


def test_a_body_that_is_too_large_too_slow_or_not_json_is_refused_as_described(described: Described) -> None:
    client = described.server.client
    with ExitStack() as open_until_then:
        slow: list[tuple[Operation, socket.socket]] = []
        for operation in operations():
            refused = {status: f"{status}" in operation.said["responses"] for status in (408, 413, 415)}
            assert set(refused.values()) == {"requestBody" in operation.said}, operation.name
            if "requestBody" not in operation.said:
                continue
            request = operation.request({}) | {"headers": described.may("chief")}
            larger = client.request(**request | {"json": {"x": "x" * LARGEST_BODY}})
            other = client.request(**request | {"json": None, "content": b"x", "headers": described.may("chief")})
            assert (larger.status_code, other.status_code) == (413, 415), operation.name
            _is_described(larger, operation)
            _is_described(other, operation)
            connection = open_until_then.enter_context(
                socket.create_connection((client.base_url.host, client.base_url.port or 80))
            )
            headers = described.may("chief") | {"host": "here", "content-type": "application/json"}
            lines = [f"{name}: {value}\r\n" for name, value in {**headers, "content-length": "9"}.items()]
            address = httpx.URL("http://here" + request["url"], params=request["params"]).raw_path.decode()
            connection.sendall(f"{operation.method} {address} HTTP/1.1\r\n{''.join(lines)}\r\n{{".encode())
            slow.append((operation, connection))
        for operation, connection in slow:
            with connection.makefile("rb") as answer:
                assert b" 408 " in answer.readline(), operation.name
                assert b"application/problem+json" in answer.read()


def test_ranges_of_a_bundle_are_given_or_refused_as_described(described: Described) -> None:
    [operation] = [one for one in operations() if one.name == "get_item_bundle"]
    for asked, status in (("bytes=0-9", 206), ("bytes=0-9,20-29", 206), ("bytes=999999999-", 416), ("bytes=x", 416)):
        reply = _asked(described, operation, {**described.may("chief"), "range": asked})
        assert reply.status_code == status, asked
        _is_described(reply, operation)
        if status == 416:
            whole = _asked(described, operation, described.may("chief"))
            assert reply.headers["content-range"] == f"bytes */{len(whole.content)}"


def test_every_operation_has_a_name_words_and_an_example() -> None:
    names = [operation.name for operation in operations()]
    assert sorted(names) == sorted(EXAMPLES)
    for operation in operations():
        assert re.fullmatch("[a-z]+(_[a-z]+)+|recommend", operation.name)
        assert operation.said["summary"]
        assert operation.said["description"]
        assert all(parameter.get("description") for parameter in operation.said.get("parameters", ())), operation.name
        assert all("example" in one for one in operation.said.get("parameters", ()) if one["required"]), operation.name


def test_the_description_in_the_documentation_is_that_of_the_code() -> None:
    """After a change: `hearth openapi > docs/openapi.json`, and look at what changed."""
    assert json.loads(DESCRIPTION.read_text()) == json.loads(json.dumps(DESCRIBED))


def _asked(described: Described, operation: Operation, headers: dict[str, str]) -> httpx.Response:
    """Its example, of models that there are not: it shall change nothing."""
    request = operation.request({"model_id": "r0009-none", "erasure_id": "none"})
    return described.server.client.request(**request, headers=headers)


def _is_described(reply: httpx.Response, operation: Operation) -> None:
    """The status and the content type are described, and an error is a problem."""
    said = operation.said["responses"][str(reply.status_code)]
    if reply.status_code >= 400:
        said = DESCRIBED["components"]["responses"][said["$ref"].rpartition("/")[2]]
        assert ProblemBody.model_validate_json(reply.content).status == reply.status_code
    kind = reply.headers.get("content-type", "").partition(";")[0]
    assert kind in {known.partition(";")[0] for known in said.get("content", {"": None})}, (operation.name, kind)
    assert set(said["headers"]) - {"www-authenticate"} <= set(reply.headers)
