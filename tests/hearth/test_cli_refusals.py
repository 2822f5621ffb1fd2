"""Bad input: exit status 1 or 2, one line that says what is wrong, nothing on stdout, and never a traceback."""

import asyncio
import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from feature_store.encryption import KeyRing, keys_from_file, new_key
from feature_store.errors import BadInput
from feature_store.signing import SigningKey
from feature_store.sqlite import open_sqlite
from hearth.demo.folder import make_anew
from tests.hearth.command import Ended
from tests.hearth.conftest import SETTINGS, Trained


@pytest.fixture
def place(trained: Trained, tmp_path: Path) -> Path:
    """A folder with everything that can be wrong."""
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "empty").mkdir()
    (tmp_path / "world").symlink_to(trained.world)
    (tmp_path / "registry").symlink_to(trained.registry)
    header = "user_id,item_id,timestamp,event,value\n"
    (tmp_path / "short.csv").write_text(f"{header}p0,i0,1,view,\np0,i1,2\n")
    (tmp_path / "time.csv").write_text(f"{header}p0,i0,1,view,\np0,i1,2,view,\np0,i2,yesterday,view,\n")
    (tmp_path / "none.csv").write_text(header)
    (tmp_path / "binary.csv").write_bytes(b"user_id,item_id,event\np0,\xff,view\n")
    (tmp_path / "items.csv").write_text("item_id,title\ni0,A\ni0,B\n")
    (tmp_path / "split").mkdir()
    (tmp_path / "split" / "train.txt").write_text("0 1 2\n0 3\n")
    (tmp_path / "split" / "valid.txt").write_text("")
    (tmp_path / "split" / "test.txt").write_text("")
    SigningKey.generate().save(tmp_path / "other.pem")
    (tmp_path / "other.pub").write_bytes(SigningKey.load(tmp_path / "other.pem").public.pem())
    return tmp_path


TRAIN = "train --registry {new} --interactions "
EVALUATE = "evaluate --registry {registry} --split "
REFUSED = {
    # command: (exit status, what the message says)
    TRAIN + "{nothing}.csv": (1, "nothing.csv cannot be read: No such file"),
    TRAIN + "{empty}": (1, "empty has neither train.txt[.gz] nor interactions.csv[.gz]"),
    TRAIN + "{short}.csv": (1, "short.csv, line 3: has 3 fields; the header names 5 columns"),
    TRAIN + "{time}.csv": (
        1,
        "time.csv, line 4: timestamp is seconds (not milliseconds) since 1970, or empty; got 'yesterday'",
    ),
    TRAIN + "{binary}.csv": (1, "binary.csv, line 2: is not UTF-8"),
    TRAIN + "{split}": (1, "train.txt, line 2: user '0' stands on line 1 already"),
    TRAIN + "{world} --vertical=": (1, "--vertical is a name in small letters"),
    TRAIN + "{world} --alpha 1e300": (1, "alpha: Input should be less than or equal to 100"),
    TRAIN + "{world} --min-value nan": (1, "the least value to keep is a finite number"),
    TRAIN + "{split} --min-value 4": (1, "is split already and has no values"),
    TRAIN + "{world} --items {items}.csv": (1, "items.csv, line 3: item id 'i0' stands in line 2 already"),
    TRAIN + "{world} --valid-share 0.5 --test-share 0.5": (1, "together below 1; got 0.5 and 0.5"),
    TRAIN + "{world} --dim 0": (2, "'--dim'"),
    TRAIN + "{world} --algorithm magic": (2, "'--algorithm'"),
    TRAIN + "{world} --signing-key {file}": (1, "file is not readable as a signing key"),
    "train --interactions {world}": (2, "Missing option '--registry' (env var: 'HEARTH_REGISTRY')"),
    "train --interactions {world} --registry {file}": (1, "file is a file; a registry is a folder"),
    "train --interactions {world} --registry {file}/below": (1, "Not a directory"),
    EVALUATE + "{nothing}.csv": (1, "nothing.csv cannot be read: No such file"),
    EVALUATE + "{world} --checkpoint r0001-none": (1, "there is no checkpoint 'r0001-none'"),
    EVALUATE + "{world} --test-share 0": (1, "nobody has held-out items"),
    EVALUATE + "{world} --trust {other}.pub": (1, "which is not trusted"),
    EVALUATE + "{world} --trust {nothing}.pub": (1, "nothing.pub is not readable as a public key"),
    "evaluate --split {world} --registry {file}": (1, "file is a file; a registry is a folder"),
    "evaluate --split {world} --registry {empty}": (1, "is in production; published: none"),
    "models list --registry {nothing}": (1, "there is no registry"),
    "models list --registry {registry} --trust {file}": (1, "file is not readable as a public key"),
    "models show r0001-none --registry {registry}": (1, "there is no checkpoint 'r0001-none'"),
    "models show ../lock --registry {registry}": (1, "there is no checkpoint '../lock'"),
    "models promote r0001-none --registry {registry}": (1, "there is no checkpoint 'r0001-none'"),
    "models roll-back --registry {registry}": (1, "was in production before"),
    "models roll-back --registry {empty}": (1, "was in production before"),
    "keys show --signing-key {file}": (1, "file is not readable as a signing key"),
    "keys show --signing-key {file}/key.pem": (1, "file"),
    "serve --registry {file}": (1, "file is a file; a registry is a folder"),
    "serve --registry {registry} --store {empty}": (1, "unable to open database file"),
    "serve --registry {registry} --store {file}": (1, "file"),
    "serve --registry {registry} --trust {nothing}.pub": (1, "nothing.pub is not readable as a public key"),
    "serve --registry {registry} --port 65536": (2, "'--port'"),
    "serve --registry {registry} --workers 2": (1, "--workers cannot share what is kept in memory; name a --store"),
    "serve --registry {registry} --workers 65": (2, "'--workers'"),
    "serve --registry {registry} --workers 2 --store {empty}": (1, "unable to open database file"),
    "serve --registry {registry} --social-graph {empty}": (1, "--social-graph is for the place of --store"),
    "serve --registry {registry} --store redis://127.0.0.1:1 --social-graph {empty}": (1, "a Redis holds the social"),
    "data fetch ml-100k --from {nothing}": (1, "nothing is no folder and no wheel or zip file"),
    "data fetch ml-100k --from {empty}": (1, "empty holds none of these files"),
    "data fetch ml-100k --from {world} --cache {file}": (1, "the cache"),
    "demo --exit --folder {empty}/.. --from {empty}": (1, "is not empty and not of an earlier demo"),
    "demo --exit --folder {file}": (1, "file is a file; the demo needs a folder"),
    "bench quality --split {nothing}": (1, "nothing cannot be read"),
    "bench context --split {world} --feature vertical": (2, "'--feature'"),
    "bench context --split {world} --feature device": (1, "error: the feature device needs classes of devices"),
    "bench tables --data {empty} --out {empty}/page.json": (1, "--out is a page in Markdown; "),
}


@pytest.mark.parametrize("words", REFUSED)
def test_bad_input_is_refused_in_one_line(hearth: Callable[..., Ended], place: Path, words: str) -> None:
    status, said = REFUSED[words]
    ended = hearth(*(word.format_map(_Paths(place)) for word in words.split()))
    assert said in ended.error()
    assert ended.status == status
    assert not list((place / "new").glob("**/*.safetensors"))


def test_asked_for_nothing_a_group_shows_its_help(trained: Trained) -> None:
    ended = trained.command.run("models")
    assert (ended.status, ended.stderr) == (2, "")
    assert "roll-back" in ended.stdout


def test_a_port_that_is_taken_is_said(trained: Trained) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        error = trained.command.run("serve", "--registry", trained.registry, "--port", port).error()
    assert "Address already in use" in error


def test_a_store_of_another_key_and_a_key_for_no_store_are_said(trained: Trained, tmp_path: Path) -> None:
    async def make() -> None:
        async with open_sqlite(tmp_path / "people.sqlite", KeyRing([new_key()])):
            pass

    asyncio.run(make())
    serve = ("serve", "--registry", trained.registry, "--port", "0", "--store-key", tmp_path / "store.keys")
    assert "--store-key is for the place of --store" in trained.command.run(*serve).error()
    error = trained.command.run(*serve, "--store", tmp_path / "people.sqlite").error()
    assert "people.sqlite: a value is sealed with key" in error
    assert keys_from_file(tmp_path / "store.keys").newest.hex() in error


@pytest.mark.slow
def test_a_demo_without_its_data_says_so(trained: Trained, place: Path) -> None:
    ended = trained.command.run("demo", "--exit", "--folder", place / "new", "--from", place / "empty")
    assert ended.status == 1
    assert ended.stderr.startswith("error: ")
    assert "empty holds none of these files" in ended.stderr


def test_the_folder_of_an_earlier_demo_is_made_anew_and_any_other_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis").write_text("years")
    with pytest.raises(BadInput, match="not of an earlier demo"):
        make_anew(tmp_path / "other")
    assert (tmp_path / "other" / "thesis").read_text() == "years"
    for _ in range(2):
        make_anew(tmp_path / "demo")
        (file,) = (tmp_path / "demo").iterdir()
        (tmp_path / "demo" / "registry").mkdir()
        (tmp_path / "demo" / "registry" / "lock").touch()
        assert file.name == ".hearth-demo"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_may_not_be_written_is_named(trained: Trained, place: Path) -> None:
    (place / "empty").chmod(0o500)
    arguments = ("train", "--interactions", place / "world", "--registry", place / "empty" / "registry")
    assert f"Permission denied: '{place / 'empty' / 'registry'}'" in trained.command.run(*arguments).error()


def test_two_trainings_of_one_registry_are_not_let_at_it_at_once(trained: Trained, registry_copy: Path) -> None:
    with (registry_copy / "training" / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)  # whoever wants it alone cannot have it
        arguments = ("train", "--interactions", trained.world, "--registry", registry_copy, *SETTINGS, "--json")
        ended = trained.command.run(*arguments)
    assert f"another process is training in {registry_copy}" in ended.error()
    assert trained.command.registry(registry_copy).checkpoint_ids() == [trained.checkpoint_id]


class _Paths(dict[str, Path]):
    def __init__(self, place: Path) -> None:
        super().__init__()
        self._place = place

    def __missing__(self, name: str) -> Path:
        return self._place / name
