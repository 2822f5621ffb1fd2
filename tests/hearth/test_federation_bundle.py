"""What Flower sends to a cell: the names of two apps that are installed there, and no code."""

import io
import tomllib
import zipfile
from importlib import import_module
from pathlib import Path

import pytest
from flwr.cli.build import build_fab_from_files
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp

from hearth.federation.control import BUNDLE

ROOT = Path(__file__).parents[2]


@pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning")  # Flower's own use of pathspec
@pytest.mark.parametrize("of_the_checkout", [False, True])
def test_the_bundle_names_our_apps_and_holds_no_code(*, of_the_checkout: bool) -> None:
    there = {"README.md": ROOT / "README.md", "training/federation/client_app.py": b"raise SystemExit"}
    files = {"pyproject.toml": ROOT / "pyproject.toml", **there} if of_the_checkout else {"pyproject.toml": BUNDLE}
    content, _ = build_fab_from_files(files)
    with zipfile.ZipFile(io.BytesIO(content)) as bundle:
        assert [name for name in bundle.namelist() if name.endswith(".py")] == []
        app = tomllib.loads(bundle.read("pyproject.toml").decode())["tool"]["flwr"]["app"]
    assert app["config"] == {"request": ""}
    for component, kind in (("clientapp", ClientApp), ("serverapp", ServerApp)):
        module, name = app["components"][component].split(":")
        assert isinstance(getattr(import_module(module), name), kind)
