"""Both clients against a real server, by every method."""

import inspect
import socket
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import pytest

from feature_store.errors import BadInput
from feature_store.item_bundle import bundle_of, make_bundle
from feature_store.item_bundle_delta import make_delta
from feature_store.item_schemas import PlainItem, Product
from hearth.client import Asked, AsyncClient, Client, Problem, Unreachable, requests
from serving.app import description
from serving.schemas import RecommendBody
from tests.hearth.client_kinds import Connect, connect
from tests.serving.access.keyed import KeyFile
from tests.serving.published import Publisher, draft, personal, popular
from tests.serving.running import Server, config_of, started, until

__all__ = ["connect"]  # the fixture


class Served(NamedTuple):
    """A server that takes little at once and wants keys."""

    server: Server
    publisher: Publisher
    models: tuple[str, str]
    address: str
    secrets: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("server")
    bundles = folder / "bundles"
    bundles.mkdir()
    publisher = Publisher(folder)
    first, second = publisher.publish(draft(1)), publisher.publish(draft(2))
    old, new = (
        bundle_of(make_bundle(publisher.registry.load(model_id), {}, publisher.key)) for model_id in (first, second)
    )
    (bundles / f"{first}.bundle").write_bytes(old.sealed.to_bytes())
    (bundles / f"{second}.bundle").write_bytes(new.sealed.to_bytes())
    (bundles / f"{first}..{second}.delta").write_bytes(make_delta(old, new, publisher.key))
    keys = KeyFile(folder / "keys.json")
    keys.add("chief", "recommend", "ingest", "admin", "metrics")
    keys.add("reader", "recommend")
    config = config_of(
        publisher,
        store=folder / "store.sqlite",
        items=folder / "items.sqlite",
        bundles=bundles,
        api_keys=keys.file,
        max_events=5,
        max_batch=2,
        max_items=3,
        max_body_bytes=3000,
    )
    with started(config, folder) as running:
        running.serves(second)
        yield Served(running, publisher, (first, second), str(running.client.base_url), keys.secrets)


def event(user_id: str, item_id: str, **fields: object) -> dict[str, object]:
    return {"event_id": item_id, "user_id": user_id, "item_id": item_id, "event": "view", **fields}


def test_a_visit(served: Served, connect: Connect) -> None:
    with connect(served.address, api_key=served.secrets["chief"]) as hearth:
        person = f"ada-{hearth.version().hearth}-{id(hearth)}"
        reply = hearth.recommend("home", user_id=person, k=3)
        assert [item.item_id for item in reply.items] == [name for name, _ in popular(draft(2))][:3]
        assert reply.meta.degraded == ["popularity-fallback"]
        outcomes = hearth.send([event(person, "item-2"), event(person, "item-6", value="many")]).events
        assert [outcome.status for outcome in outcomes] == [201, 422]
        again = hearth.recommend("home", user_id=person)
        assert [item.item_id for item in again.items] == [name for name, _ in personal(draft(2), ["item-2"])]
        session = hearth.recommend(
            "home", session_events=({"item_id": "item-2"},), exclude_item_ids=("item-4",), explain=True
        )
        assert session.privacy_tier == "ephemeral"
        assert "item-4" not in {item.item_id for item in session.items}
        assert session.items[0].reasons


def test_what_is_more_than_a_server_takes_is_sent_in_parts_and_numbered_as_it_was_given(
    served: Served, connect: Connect
) -> None:
    """The server takes 5 events, 2 requests, 3 items, and 3,000 bytes."""
    with connect(served.address, api_key=served.secrets["chief"]) as hearth:
        person = f"bea-{id(hearth)}"
        events = [event(person, f"item-{n}") for n in range(12)]
        events[8]["value"] = "many"
        outcomes = hearth.send(events).events
        assert [one.index for one in outcomes] == list(range(12))
        assert [one.status for one in outcomes] == [422 if n == 8 else 201 for n in range(12)]
        assert outcomes[8].problem.errors[0].pointer == "#/events/8/value"
        assert len(hearth.export(person).events["events"]) == 11

        replies = hearth.batch_recommend("home", [{"k": n} for n in (1, 2, 3, 101, 5)]).replies
        assert [one.index for one in replies] == [0, 1, 2, 3, 4]
        assert [len(one.reply.items) if one.reply else one.problem.errors[0].pointer for one in replies] == [
            1,
            2,
            3,
            "#/requests/3/k",
            5,
        ]
        long = [{"item_id": f"long-{n}", "title": "x" * 1400} for n in range(4)]  # two fit into a body, three do not
        imported = hearth.import_items("films", [*long, {"item_id": "bad", "colour": "red"}]).items
        assert [one.status for one in imported] == [200, 200, 200, 200, 422]
        assert imported[4].problem.errors[0].pointer == "#/items/4/colour"
        with pytest.raises(Problem, match="413 /problems/body-too-large"):
            hearth.import_items("films", [{"item_id": "huge", "labels": {"x": ["y" * 250] * 20}}])
        with pytest.raises(BadInput, match="this cannot be asked"):
            hearth.send([])


def test_items_are_put_read_listed_and_taken_out(served: Served, connect: Connect) -> None:
    with connect(served.address, api_key=served.secrets["chief"]) as hearth:
        lamp = Product(item_id="lamp 1?", vertical="e-commerce", price=Decimal("19.90"), currency="EUR", stock=3)
        assert hearth.put_item("e-commerce", "lamp 1?", lamp) == lamp
        assert hearth.get_item("e-commerce", "lamp 1?") == lamp
        changed = hearth.put_item("e-commerce", "lamp 1?", {"title": "Lamp"})
        assert (changed.title, changed.price) == ("Lamp", None)
        hearth.import_items("shelf", [PlainItem(item_id=f"book-{n}", vertical="shelf") for n in range(5)])
        first = hearth.list_items("shelf", limit=3)
        rest = hearth.list_items("shelf", cursor=first.next_cursor, limit=3)
        assert {one.item_id for one in (*first.items, *rest.items)} == {f"book-{n}" for n in range(5)}
        assert rest.next_cursor is None
        assert hearth.delete_item("e-commerce", "lamp 1?") is True
        assert hearth.delete_item("e-commerce", "lamp 1?") is False
        with pytest.raises(Problem, match="404 /problems/unknown-item"):
            hearth.get_item("e-commerce", "lamp 1?")
        for wrong in ("a/b", "..", "", "\ud800"):
            with pytest.raises(BadInput, match="an item"):
                hearth.get_item("e-commerce", wrong)


def test_a_person_is_exported_and_erased(served: Served, connect: Connect) -> None:
    with connect(served.address, api_key=served.secrets["chief"]) as hearth:
        person = f"cy-{id(hearth)}"
        hearth.send([event(person, "item-2")])
        held = hearth.export(person)
        assert (held.user_id, held.events["events"][0]["item_id"]) == (person, "item-2")
        erased = hearth.erase(person)
        assert (erased.removed["events"], erased.complete) == (1, True)
        assert hearth.erasure(erased.erasure_id).pseudonym == erased.pseudonym
        assert hearth.export(person).events["events"] == []


def test_models_are_listed_tried_promoted_and_rolled_back(served: Served, connect: Connect) -> None:
    first, second = served.models
    with connect(served.address, api_key=served.secrets["chief"]) as hearth:
        assert [(one.model_id, one.stage, one.items) for one in hearth.models().models] == [
            (first, "candidate", 60),
            (second, "production", 60),
        ]
        assert hearth.shadow(first, reason="a look").shadow == first
        until(lambda: hearth.model_ready(first).stage == "shadow", served.server.log)
        assert hearth.promote(first).production == first
        until(lambda: hearth.version().model_id == first, served.server.log)
        with pytest.raises(Problem, match="409 /problems/registry-conflict"):
            hearth.roll_back(second)
        assert hearth.roll_back(first, "the other was better").production == second
        until(lambda: hearth.model_ready(second).ready, served.server.log)
        assert hearth.ready().checks["model"]["model_id"] == second


def test_a_bundle_is_fetched_once_and_then_what_changed(served: Served, connect: Connect) -> None:
    first, second = served.models
    with connect(served.address, api_key=served.secrets["reader"]) as hearth:
        old = hearth.bundle(first)
        assert (old.checkpoint_id, old.kind) == (first, "whole")
        assert hearth.bundle(first, have=old) is old
        changes = hearth.bundle(have=old)
        assert (changes.checkpoint_id, changes.kind) == (second, "changes")
        assert hearth.bundle(have=changes) is changes
        assert hearth.bundle().kind == "whole"
        with pytest.raises(Problem, match="404 /problems/no-bundle"):
            hearth.bundle("r0009-none")


def test_what_the_server_refuses_is_told_and_what_cannot_be_asked_is_not_sent(served: Served, connect: Connect) -> None:
    with connect(served.address, api_key=served.secrets["reader"]) as hearth:
        with pytest.raises(Problem, match="404 /problems/unknown-placement") as refused:
            hearth.recommend("cellar")
        assert refused.value.status == 404
        with pytest.raises(Problem, match="#/k: k is at most 100"):
            hearth.recommend("home", k=101)
        with pytest.raises(Problem, match="403 /problems/forbidden"):
            hearth.models()
        for wrong in ({"k": 0}, {"user": "ada"}, {"k": "5"}, {"query_vector": [float("nan")]}):
            with pytest.raises(BadInput, match="this cannot be asked"):
                hearth.recommend("home", **wrong)
        with pytest.raises(BadInput, match="a placement that stands in an address"):
            hearth.recommend("../admin")
    with connect(served.address) as stranger, pytest.raises(Problem, match="401 /problems/unauthorized"):
        stranger.models()
    for bad_address in ("127.0.0.1:8080", "ftp://cell", "http://"):
        with pytest.raises(BadInput, match="address"), connect(bad_address):
            pass
    with pytest.raises(BadInput) as told, connect(served.address, api_key="canary-key\n"):
        pass
    assert "canary" not in str(told.value)


def test_a_server_that_is_not_ready_says_so_at_once(connect: Connect, tmp_path: Path) -> None:
    with started(config_of(Publisher(tmp_path)), tmp_path) as server:
        with connect(str(server.client.base_url)) as hearth, pytest.raises(Problem, match="503 /problems/not-ready"):
            hearth.ready()
        assert len([line for line in server.logged("request") if line["route"] == "/readyz"]) == 1


def test_an_address_where_nobody_answers_is_said(connect: Connect) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{probe.getsockname()[1]}"
    with connect(nowhere, retries=1) as hearth, pytest.raises(Unreachable, match="did not answer: ConnectError"):
        hearth.version()


def test_every_operation_that_a_program_needs_has_a_method() -> None:
    """All but those for who runs the server: whether it lives, and what it has measured."""
    sent = [
        requests.recommend("p", {}),
        requests.batch_recommend("p", [{}]),
        requests.send([{}]),
        requests.import_items("v", [{}]),
        requests.list_items("v", None, 1),
        requests.put_item("v", "i", {}),
        requests.get_item("v", "i"),
        requests.delete_item("v", "i"),
        requests.export("u"),
        requests.erase("u"),
        requests.erasure("e"),
        requests.models(),
        requests.model_ready("m"),
        *(requests.change_stage(verb, "m", "") for verb in ("promote", "shadow", "roll-back")),
        requests.bundle("current", None),
        requests.version(),
        requests.ready(),
    ]
    calls = {(call.method, call.path) for call in map(next, sent)}
    example = {"placement": "p", "item_id": "i", "erasure_id": "e", "model_id": "m", "checkpoint_id": "current"}
    documented = {
        (method.upper(), path.format(**example)) for path, item in description()["paths"].items() for method in item
    }
    assert documented - calls == {("GET", "/livez"), ("GET", "/metrics")}
    assert calls <= documented


def test_both_clients_have_the_same_methods_with_the_same_parameters() -> None:
    def methods(kind: type[object]) -> dict[str, inspect.Signature]:
        found = inspect.getmembers(kind, inspect.isfunction)
        return {name: inspect.signature(one) for name, one in found if not name.startswith("_")}

    assert methods(Client) == methods(AsyncClient)
    assert all(inspect.iscoroutinefunction(getattr(AsyncClient, name)) for name in methods(Client))


def test_whatever_a_request_may_have_can_be_asked() -> None:
    assert set(Asked.__annotations__) == set(RecommendBody.model_fields)
