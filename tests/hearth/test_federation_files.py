"""The files of a federation: certificates that a TLS client takes, keys that stay, people who are in one cell each."""

import asyncio
import dataclasses
import os
import signal
import ssl
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_ssh_private_key, load_ssh_public_key

from feature_store.encryption import own_keys
from feature_store.errors import BadInput
from feature_store.sqlite import open_sqlite
from hearth.federation.certificates import ensure_authority, ensure_certificate, ensure_node_key, ensure_secret
from hearth.federation.child import start
from hearth.federation.filling import fill, home
from hearth.federation.layout import Layout, Plan
from hearth.federation.ports import LOOPBACK, free_ports, listens
from hearth.federation.processes import make_files, superlink
from hearth.federation.up import cell_names, read_status, take_down
from hearth.sources import file_named
from tests.hearth.command import ROOT, Command
from training.federation.adding import plainly
from training.federation.centre_sums import CentreSums, adding_of, read_centre_sums, write_centre_sums
from training.federation.node_key_files import read_pinned
from training.federation.secure_adding import Securely
from training.federation.trainer import read_settings
from training.interactions import read_interactions

PLAN = Plan(cells=("cell-1", "cell-2", "cell-3"))


def made(folder: Path) -> Layout:
    layout = Layout(folder)
    ensure_authority(layout.authority, layout.authority_key)
    ensure_certificate(layout.certificate, layout.certificate_key, layout.authority, layout.authority_key)
    return layout


def test_a_server_with_the_certificate_is_trusted_by_who_has_the_authority_and_by_nobody_else(tmp_path: Path) -> None:
    layout, other = made(tmp_path / "one"), made(tmp_path / "other")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(layout.certificate, layout.certificate_key)
    (port,) = free_ports(1)
    loop = asyncio.new_event_loop()

    async def serve() -> asyncio.Server:
        return await asyncio.start_server(lambda _, writer: writer.close(), LOOPBACK, port, ssl=context)

    server = loop.run_until_complete(serve())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        assert listens(port, layout.authority)
        assert not listens(port, other.authority)
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
    assert not listens(port, layout.authority)


def test_what_is_there_is_never_made_anew_and_secrets_are_for_their_owner_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    public_key = tmp_path / "signing.pub"
    make_files(layout, PLAN, public_key)
    files = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    make_files(layout, PLAN.model_copy(update={"least_people": 30}), public_key)
    assert {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()} == files
    cell = layout.cell("cell-1")
    secrets = (layout.authority_key, layout.certificate_key, layout.secret, cell.private_key, cell.secret)
    assert {stat.S_IMODE(file.stat().st_mode) for file in secrets} == {0o600}
    assert cell.secret.read_bytes() != layout.cell("cell-2").secret.read_bytes()
    assert cell.private_key.read_bytes() != layout.cell("cell-2").private_key.read_bytes()


def test_half_of_a_pair_is_refused_and_not_replaced(tmp_path: Path) -> None:
    layout = made(tmp_path)
    layout.authority_key.unlink()
    with pytest.raises(BadInput, match=r"authority.pem is there and .*authority.key is not"):
        ensure_authority(layout.authority, layout.authority_key)
    assert not layout.authority_key.exists()


def test_a_node_key_is_one_of_the_curve_that_flower_takes(tmp_path: Path) -> None:
    cell = Layout(tmp_path).cell("cell-1")
    public = load_ssh_public_key(ensure_node_key(cell.private_key, cell.public_key))
    private = load_ssh_private_key(cell.private_key.read_bytes(), password=None)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    assert public.curve.name == "secp384r1"
    assert private.public_key() == public


def test_secrets_differ(tmp_path: Path) -> None:
    ensure_secret(tmp_path / "one")
    ensure_secret(tmp_path / "other")
    assert (tmp_path / "one").read_bytes() != (tmp_path / "other").read_bytes()
    assert len((tmp_path / "one").read_bytes()) == 64


def test_a_folder_of_one_federation_is_not_taken_for_another(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with pytest.raises(BadInput, match="there is no federation in"):
        layout.plan()
    plan = layout.planned(Plan(cells=("cell-1", "cell-2"), plain_sums=True))
    assert layout.planned(plan) == layout.plan() == plan
    with pytest.raises(BadInput, match=r"a federation of 2 cells .* asked for are 3"):
        layout.planned(Plan(cells=("cell-1", "cell-2", "cell-3")))


def test_masks_with_fewer_than_three_cells_are_refused_and_never_left_out_by_themselves(tmp_path: Path) -> None:
    for count in (1, 2):
        plan = Plan(cells=cell_names(count))
        with pytest.raises(BadInput, match=rf"asked for are {count}. Take --cells 3, or --plain-sums"):
            plan.require_possible()
        plan.model_copy(update={"plain_sums": True}).require_possible()
    Plan(cells=cell_names(3)).require_possible()
    layout = Layout(tmp_path)
    layout.planned(Plan(cells=cell_names(3)))
    with pytest.raises(BadInput, match=r"3 cells .*, under masks; asked for are 3 and 20, in the clear"):
        layout.planned(Plan(cells=cell_names(3), plain_sums=True))


def test_every_cell_and_the_centre_have_the_keys_of_all_cells_and_mask_unless_told_otherwise(tmp_path: Path) -> None:
    layout = Layout(tmp_path / "masked")
    make_files(layout, PLAN, tmp_path / "signing.pub")
    public = {name: layout.cell(name).public_key.read_bytes() for name in PLAN.cells}
    for folder in (layout.node_keys, *(layout.cell(name).pinned for name in PLAN.cells)):
        assert {file.stem: file.read_bytes() for file in folder.iterdir()} == public
    adding = adding_of(layout.centre)
    assert isinstance(adding, Securely)
    assert set(adding.pinned) == set(PLAN.cells)
    plain = Layout(tmp_path / "plain")
    make_files(plain, Plan(cells=cell_names(2), plain_sums=True), tmp_path / "signing.pub")
    assert adding_of(plain.centre) is plainly
    assert read_settings(plain.cell("cell-1").trainer_settings).identity is None


def test_what_an_operator_has_said_of_sums_and_keys_stays(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_files(layout, PLAN, tmp_path / "signing.pub")
    write_centre_sums(layout.centre, CentreSums(colluding=1))
    taken_away = layout.cell("cell-1").pinned / "cell-3.pub"
    taken_away.unlink()
    make_files(layout, PLAN, tmp_path / "signing.pub")
    assert read_centre_sums(layout.centre).colluding == 1
    assert not taken_away.exists()
    write_centre_sums(layout.centre, CentreSums(sums="plain"))
    with pytest.raises(BadInput, match="sums added plain, and the federation is planned to add them masked"):
        make_files(layout, PLAN, tmp_path / "signing.pub")


def test_pins_that_a_killed_start_left_half_made_are_made_whole(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    half = layout.cell("cell-1").pinned.with_name(".pinned.new")
    half.mkdir(parents=True)
    (half / "cell-1.pub").write_text("half")
    make_files(layout, PLAN, tmp_path / "signing.pub")
    assert set(read_pinned(layout.cell("cell-1").pinned)) == set(PLAN.cells)
    assert not half.exists()


def test_a_folder_whose_path_is_too_long_for_the_cells_sockets_is_refused_by_name(tmp_path: Path) -> None:
    for name, plan in (("d" * 82, PLAN), ("ü" * 41, PLAN)):
        layout = Layout(Path("/") / name)
        with pytest.raises(BadInput, match=r"100 bytes at most; .*/cells/cell-1/sock has 10[0-9]. Name a folder"):
            layout.require_short(plan)
    layout = Layout(Path("/") / ("d" * 81))
    layout.require_short(PLAN)
    assert len(str(layout.cell("cell-1").socket)) == 100


@pytest.mark.parametrize(
    "content", [b"", b'{"pid": 1, "pro', b'{"pid": 1}', b"[]", b"\xff", b'{"address": 1, "pid": "x"}']
)
def test_a_damaged_status_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    layout = Layout(tmp_path)
    layout.status.write_bytes(content)
    with pytest.raises(BadInput, match=r"status.json is not the status of a federation; `hearth federation down` ends"):
        read_status(layout)


def test_whoever_supervises_is_ended_though_the_status_is_damaged(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.planned(PLAN)
    layout.status.write_bytes(b'{"pid": 1, "pro')
    holder = "import sys, time\nfrom pathlib import Path\nfrom hearth.federation.layout import Layout\nfrom "
    holder += "hearth.federation.up import supervised\nwith supervised(Layout(Path(sys.argv[1]))):\n"
    holder += " print('held', flush=True)\n time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", holder, str(tmp_path)], stdout=subprocess.PIPE, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"held\n"
            take_down(layout)
            assert process.wait(60) == -signal.SIGTERM
        finally:
            process.kill()
    assert not layout.status.exists()


def test_each_person_is_in_one_cell_with_all_that_they_did_however_often_it_is_filled(tmp_path: Path) -> None:
    file = tmp_path / "interactions.csv"
    lines = [(f"person-{n % 9}", f"item-{n}", 1000 + n) for n in range(50)]
    file.write_text("user_id,item_id,event,timestamp\n" + "".join(f"{p},{i},click,{t}\n" for p, i, t in lines))
    cells = [Layout(tmp_path).cell(f"cell-{number}") for number in (1, 2, 3)]
    interactions = read_interactions(file)
    people = fill(cells, interactions)
    assert fill(cells, interactions) == people
    assert sum(people.values()) == 9
    assert min(people.values()) > 0

    async def held(number: int) -> dict[str, list[str]]:
        async with open_sqlite(cells[number].store, own_keys(cells[number].store_keys)) as stores:
            return {who: list((await stores.events.get(who)).item_ids) async for who in stores.events.user_ids()}

    for number, cell in enumerate(cells):
        here = asyncio.run(held(number))
        assert here.keys() == {f"person-{n}" for n in range(9) if home(f"person-{n}", 3) == number}
        assert len(here) == people[cell.name]
        for who, items in here.items():
            assert items == [item for person, item, _ in lines if person == who]


def test_a_second_file_comes_to_the_first_and_a_line_that_is_there_twice_stays_two(tmp_path: Path) -> None:
    cell = Layout(tmp_path).cell("cell-1")
    head, lines = (
        "user_id,item_id,event,timestamp\n",
        ["anna,film,view,7\n", "anna,film,view,7\n", "anna,book,view,8\n"],
    )

    async def held() -> tuple[str, ...]:
        async with open_sqlite(cell.store, own_keys(cell.store_keys)) as stores:
            return tuple((await stores.events.get("anna")).item_ids)

    for some, now in ((lines[:2], 2), (lines[:2], 2), (lines[2:], 3), (lines, 3)):
        (tmp_path / "file.csv").write_text(head + "".join(some))
        fill([cell], read_interactions(tmp_path / "file.csv"))
        assert asyncio.run(held()) == ("film", "film", "book")[:now]


def test_what_the_superlink_keeps_is_for_its_owner_alone(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    make_files(layout, PLAN, tmp_path / "signing.pub")
    spec = dataclasses.replace(superlink(layout, 1), arguments=("touch", str(layout.database)))
    assert start(spec, layout.logs / "superlink.log", {"PATH": os.defpath}).wait(60) == 0
    assert stat.S_IMODE(layout.database.stat().st_mode) == 0o600
    layout.database.chmod(0o644)  # as an earlier version left it
    make_files(layout, PLAN, tmp_path / "signing.pub")
    assert stat.S_IMODE(layout.database.stat().st_mode) == 0o600


def test_a_file_is_named_by_itself_or_by_its_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"has no items.csv\[.gz\]"):
        file_named(tmp_path, "items")
    with pytest.raises(BadInput, match=r"there is no .*/items.csv"):
        file_named(tmp_path / "items.csv", "items")
    (tmp_path / "items.csv.gz").touch()
    assert file_named(tmp_path, "items") == file_named(tmp_path / "items.csv.gz", "items") == tmp_path / "items.csv.gz"


def test_without_interactions_nothing_of_a_federation_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "fed"
    ended = Command(tmp_path).run("federation", "up", "--folder", folder, "--interactions", tmp_path / "none.csv")
    assert "there is no" in ended.error()
    assert not folder.exists()


def test_interactions_without_a_time_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "interactions.csv"
    file.write_text("user_id,item_id,event\nanna,film,click\n")
    interactions = read_interactions(file)
    assert np.isnan(interactions.timestamps).all()
    with pytest.raises(BadInput, match="needs a timestamp"):
        fill([Layout(tmp_path).cell("cell-1")], interactions)
