"""Admission: whose public keys lie in the folder is let in, and nobody else; in memory, and by a real SuperLink."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_store.errors import BadInput
from hearth.federation.admission import Changes, admit, keys_in
from hearth.federation.certificates import ensure_authority, ensure_certificate, ensure_node_key, ensure_secret
from hearth.federation.control import Node, in_pem, opened_control
from hearth.federation.ports import LOOPBACK, free_ports, listens
from hearth.federation.processes import OFFLINE

PATIENCE = 120.0


class Known:
    """A SuperLink in memory: as Flower's, it lets each key in once."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []

    def nodes(self) -> list[Node]:
        return list(self._nodes)

    def register(self, public_key: bytes, name: str) -> None:
        pem = in_pem(public_key)
        assert pem not in {node.public_key for node in self._nodes}, "public key already in use"
        self._nodes.append(Node(len(self._nodes) + 1, name, pem, is_out=False))

    def unregister(self, node_id: int) -> None:
        place = node_id - 1
        assert not self._nodes[place].is_out
        self._nodes[place] = self._nodes[place]._replace(is_out=True)

    @property
    def let_in(self) -> set[bytes]:
        return {node.public_key for node in self._nodes if not node.is_out}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("keys")
    return [ensure_node_key(folder / f"{number}", folder / f"{number}.pub") for number in range(4)]


def test_keys_that_come_are_let_in_and_those_that_go_are_out(keys: list[bytes]) -> None:
    known = Known()
    assert admit(known, {"a": keys[0], "b": keys[1]}) == Changes(let_in=("a", "b"))
    assert admit(known, {"a": keys[0], "b": keys[1]}) == Changes()
    assert admit(known, {"a": keys[0], "c": keys[2]}) == Changes(let_in=("c",), put_out=("b",))
    assert known.let_in == {in_pem(keys[0]), in_pem(keys[2])}


def test_a_cell_with_a_new_key_comes_in_under_its_old_name(keys: list[bytes]) -> None:
    known = Known()
    admit(known, {"a": keys[0]})
    assert admit(known, {"a": keys[1]}) == Changes(let_in=("a",), put_out=("a",))
    assert known.let_in == {in_pem(keys[1])}


def test_a_key_that_was_put_out_is_told_as_spent_and_stays_out(keys: list[bytes]) -> None:
    known = Known()
    admit(known, {"a": keys[0], "b": keys[1]})
    admit(known, {"b": keys[1]})
    assert admit(known, {"a": keys[0], "b": keys[1]}) == Changes(spent=("a",))
    assert known.let_in == {in_pem(keys[1])}


def test_an_empty_folder_puts_nobody_out_and_one_that_is_not_there_is_an_error(
    keys: list[bytes], tmp_path: Path
) -> None:
    known = Known()
    admit(known, {"a": keys[0]})
    assert admit(known, keys_in(tmp_path)) == Changes()
    assert known.let_in == {in_pem(keys[0])}
    with pytest.raises(BadInput, match=r"there is no folder .*nowhere of public keys"):
        keys_in(tmp_path / "nowhere")


def test_a_file_that_is_no_key_changes_nothing_at_all(keys: list[bytes]) -> None:
    known = Known()
    admit(known, {"a": keys[0]})
    with pytest.raises(BadInput, match="not a public key in OpenSSH's form"):
        admit(known, {"b": keys[1], "c": b"ssh-rsa nonsense"})
    assert known.let_in == {in_pem(keys[0])}


@given(st.lists(st.sets(st.integers(0, 3), min_size=1), max_size=6))
def test_whatever_came_and_went_those_are_in_whose_keys_were_never_away_since_they_came(
    keys: list[bytes], folders: list[set[int]]
) -> None:
    known, spent, before = Known(), set[int](), set[int]()
    for folder in folders:
        admit(known, {f"cell-{number}": keys[number] for number in folder})
        spent |= before - folder
        before = folder
        assert known.let_in == {in_pem(keys[number]) for number in folder - spent}


@pytest.mark.slow
def test_a_real_superlink_lets_in_who_is_in_the_folder_and_is_told_again_when_it_has_lost_its_state(
    tmp_path: Path,
) -> None:
    authority, key = tmp_path / "authority.pem", tmp_path / "authority.key"
    ensure_authority(authority, key)
    ensure_certificate(tmp_path / "link.pem", tmp_path / "link.key", authority, key, ["superlink"])
    ensure_secret(tmp_path / "secret")
    nodes = tmp_path / "nodes"
    nodes.mkdir()
    for name in ("one", "two"):
        ensure_node_key(tmp_path / name, nodes / f"{name}.pub")
    (port,) = free_ports(1)
    database = tmp_path / "superlink.sqlite"
    link = _superlink(tmp_path, port, database)
    admission = subprocess.Popen(
        [
            *(sys.executable, "-m", "hearth", "federation", "admit", "--superlink", f"{LOOPBACK}:{port}"),
            *("--authority", str(authority), "--nodes", str(nodes), "--alive", str(tmp_path / "alive")),
            *("--every", "0.5"),
        ]
    )
    try:
        _until(lambda: listens(port, authority))
        _until(lambda: _names(port, authority) == {"one", "two"})
        _until((tmp_path / "alive").exists)
        (nodes / "two.pub").unlink()
        _until(lambda: _names(port, authority) == {"one"})
        link.kill()
        link.wait()
        for file in tmp_path.glob("superlink.sqlite*"):
            file.unlink()
        link = _superlink(tmp_path, port, database)
        _until(lambda: listens(port, authority))
        _until(lambda: _names(port, authority) == {"one"})
        admission.send_signal(signal.SIGTERM)
        assert admission.wait(PATIENCE) == 0
    finally:
        for process in (admission, link):
            process.kill()
            process.wait()


def _superlink(folder: Path, port: int, database: Path) -> "subprocess.Popen[bytes]":
    programs = Path(sys.executable).parent
    return subprocess.Popen(
        [
            *(str(programs / "flower-superlink"), "--host", LOOPBACK, "--port", str(port), "--isolation", "process"),
            *("--ssl-certfile", str(folder / "link.pem"), "--ssl-keyfile", str(folder / "link.key")),
            *("--ssl-ca-certfile", str(folder / "authority.pem"), "--database", str(database)),
            *("--superexec-auth-secret-file", str(folder / "secret"), "--enable-supernode-auth"),
        ],
        env={**os.environ, **OFFLINE, "FLWR_HOME": str(folder / "flower")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _names(port: int, authority: Path) -> set[str]:
    with opened_control(f"{LOOPBACK}:{port}", authority) as control:
        return {node.name for node in control.nodes() if not node.is_out}


def _until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.3)
