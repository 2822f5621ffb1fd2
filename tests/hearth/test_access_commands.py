"""`hearth keys new-api-key`, `hearth placements check` and what `hearth serve` refuses, as an operator types them."""

import asyncio
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feature_store.encryption import own_keys
from feature_store.events import Event
from feature_store.sqlite import open_sqlite
from serving.access.keys import caller_with, parse_keys
from serving.access.tenants import person_of
from tests.hearth.command import ROOT, Command, Ended

Run = Callable[..., Ended]


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    return Command(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def run(command: Command) -> Iterator[Run]:
    with command.server() as run:
        yield run


def test_a_new_key_is_printed_once_its_hash_is_kept_and_nobody_else_may_read_the_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "keys.toml"
    new = ("keys", "new-api-key", "--file", file)
    first = run(*new, "--name", "page", "--scope", "recommend", "--scope", "ingest", "--tenant", "shop")
    assert first.status == 0
    second = run(*new, "--name", "chief", "--scope", "admin", "--per-second", "5", "--json").json()
    keys = parse_keys(file, file.read_bytes())
    page, chief = caller_with(first.stdout.strip(), keys), caller_with(second["key"], keys)
    assert page is not None
    assert chief is not None
    assert (page.name, page.key.scopes, page.tenant) == ("page", {"recommend", "ingest"}, "shop")
    assert (chief.name, chief.key.scopes, chief.key.per_second) == ("chief", {"admin"}, 5.0)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    content = file.read_text()
    assert first.stdout.strip() not in content
    assert second["key"] not in content

    assert "has a key 'page' already" in run(*new, "--name", "page", "--scope", "admin").error()
    assert "Two Words" in run(*new, "--name", "Two Words", "--scope", "admin").error()
    assert file.read_text() == content


def test_a_file_of_placements_is_checked_and_shown_with_all_its_settings(run: Run, tmp_path: Path) -> None:
    example = ROOT / "examples" / "placements" / "news.toml"
    assert run("placements", "check", example).status == 0
    shown = run("placements", "check", example, "--json").json()
    assert {placement["vertical"] for placement in shown.values()} == {"news"}
    assert all("in_stock" in placement for placement in shown.values())
    broken = tmp_path / "broken.toml"
    broken.write_text("[home]\ncolour = 'red'\n")
    said = run("placements", "check", broken).error()
    assert "broken.toml" in said
    assert "home.colour" in said
    assert "none.toml" in run("placements", "check", tmp_path / "none.toml").error()


def test_a_server_does_not_let_everybody_in_unless_that_is_said(run: Run, tmp_path: Path) -> None:
    serve = ("serve", "--registry", tmp_path / "models", "--port", "0")
    said = run(*serve, "--host", "0.0.0.0").error()  # noqa: S104 - it is refused
    assert "--api-keys" in said
    assert "--open" in said
    assert "none.toml" in run(*serve, "--placements", tmp_path / "none.toml").error()
    assert "none.toml" in run(*serve, "--api-keys", tmp_path / "none.toml").error()
    assert "certificate_key go together" in run(*serve, "--certificate", tmp_path / "none.pem").error()


def test_a_tenants_person_is_exported_and_erased_and_the_servers_own_of_that_id_stays(run: Run, tmp_path: Path) -> None:
    store, keys = tmp_path / "people.sqlite", tmp_path / "people.keys"

    async def fill() -> None:
        async with open_sqlite(store, own_keys(keys)) as stores:
            people = (person_of("shop", "anna"), "anna")
            await stores.events.put([Event(f"e-{who}", who, f"item-of-{len(who)}", "view", 1.0) for who in people])

    asyncio.run(fill())
    cell = ("--store", store, "--store-key", keys)
    own = run("people", "export", "anna", *cell).json()
    of_shop = run("people", "export", "anna", "--tenant", "shop", *cell).json()
    assert (own["user_id"], of_shop["user_id"]) == ("anna", "anna")
    assert "item-of-4" in json.dumps(own)
    assert "item-of-10" in json.dumps(of_shop)
    assert run("people", "erase", "anna", "--tenant", "shop", "--yes", "--json", *cell).json()["complete"]
    assert run("people", "export", "anna", *cell).json() == own
    assert "item-of-10" not in json.dumps(run("people", "export", "anna", "--tenant", "shop", *cell).json())
