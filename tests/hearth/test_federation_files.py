"""The files of a federation: certificates that a TLS client takes, keys that stay, people who are in one cell each."""

import asyncio
import ssl
import stat
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
from hearth.federation.filling import fill, home
from hearth.federation.layout import Layout, Plan
from hearth.federation.ports import LOOPBACK, free_ports, listens
from hearth.federation.processes import make_files
from training.interactions import read_interactions


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
    make_files(layout, ("cell-1", "cell-2"), 20, public_key)
    files = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    make_files(layout, ("cell-1", "cell-2"), 30, public_key)
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
    plan = layout.planned(Plan(cells=("cell-1", "cell-2")))
    assert layout.planned(plan) == layout.plan() == plan
    with pytest.raises(BadInput, match=r"a federation of 2 cells .* asked for are 3"):
        layout.planned(Plan(cells=("cell-1", "cell-2", "cell-3")))


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


def test_interactions_without_a_time_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "interactions.csv"
    file.write_text("user_id,item_id,event\nanna,film,click\n")
    interactions = read_interactions(file)
    assert np.isnan(interactions.timestamps).all()
    with pytest.raises(BadInput, match="needs a timestamp"):
        fill([Layout(tmp_path).cell("cell-1")], interactions)
