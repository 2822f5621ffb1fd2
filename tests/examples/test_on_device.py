"""The example of a device's whole path, run as a reader would, and looked at through the files that it leaves."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from feature_store.registry import Registry
from feature_store.signing import PublicKey, TrustedKeys

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "on_device.py"
PATIENCE = 120.0  # seconds; three on an idle machine
PERSON = "maria@example.org"


class Visit(NamedTuple):
    """What the example printed, and the folder that it left."""

    text: str
    folder: Path

    def found(self, pattern: str) -> tuple[str, ...]:
        """The groups of a pattern that stands in the text."""
        match = re.search(pattern, self.text)
        assert match is not None, f"{pattern} is not in\n{self.text}"
        return match.groups()

    def exported(self) -> Any:
        return json.loads((self.folder / "export.json").read_bytes())


@pytest.fixture(scope="module")
def visit(tmp_path_factory: pytest.TempPathFactory) -> Visit:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HEARTH_")}
    ended = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLE), "files"],
        cwd=elsewhere,
        env=environment | {"COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return Visit(ended.stdout, elsewhere / "files")


def test_what_the_pinned_key_did_not_sign_is_refused(visit: Visit) -> None:
    visit.found(r"one bit changed: CorruptBundle: section \w+ of the item bundle")
    visit.found(r"another's key:   UntrustedCheckpoint: the item bundle is signed by key [0-9a-f]{16}, which is not")
    size = f"{(visit.folder / 'first.bundle').stat().st_size:,}"
    assert visit.found(r"as published: +verified, 3,000 stories in ([\d,]+) bytes") == (size,)


def test_a_list_is_of_the_kind_that_was_looked_at_and_an_event_is_kept_once(visit: Visit) -> None:
    assert visit.found(r"12 events put twice: (\d+) kept, then (\d+)") == ("12", "0")
    (of_the_sea,) = visit.found(r"After eleven stories of the sea: (\d+) of the sea")
    assert int(of_the_sea) >= 17
    (before,) = visit.found(r"popular stories: .*?(\d+) of the sea")
    assert int(before) <= 6


def test_the_list_on_the_device_is_that_of_the_exact_vectors(visit: Visit) -> None:
    """By the exported history and the checkpoint, which the device never had."""
    registry = Registry(visit.folder / "registry", TrustedKeys([PublicKey.load(visit.folder / "centre.pub")]))
    shown = visit.text.split("With the new stories")[1]
    listed = re.findall(r"story-\d{4}", shown)
    opened = [event["item_id"] for event in visit.exported()["events"]["events"] if event["event"] == "view"]
    hidden = [event["item_id"] for event in visit.exported()["events"]["events"] if event["event"] == "hide"]
    [checkpoint] = [
        loaded for name in registry.checkpoint_ids() if (loaded := registry.load(name)).manifest.round_number == 9
    ]
    met = checkpoint.vocabulary.known_rows(opened)
    scores = checkpoint.item_vectors @ checkpoint.fold_in(met).vector
    scores[checkpoint.vocabulary.rows([*opened, *hidden])] = -np.inf
    exact = [checkpoint.vocabulary.item_ids[row] for row in np.argsort(-scores)[:6]]
    assert len(opened) == 11
    assert len(listed) == 5
    assert set(listed) <= set(exact)
    (share,) = visit.found(r"of the 20 best by float32 it has ([\d.]+)% \(100 people\)")
    assert float(share) >= 99.0


def test_changes_are_smaller_than_the_bundle_and_lead_to_its_very_bytes(visit: Visit) -> None:
    delta, whole = (len((visit.folder / f"second.{kind}").read_bytes()) for kind in ("delta", "bundle"))
    assert visit.found(r"([\d,]+) bytes in place of ([\d,]+); now 3,060 stories") == (f"{delta:,}", f"{whole:,}")
    assert delta < 0.8 * whole
    assert (visit.folder / "device.bundle").read_bytes() == (visit.folder / "second.bundle").read_bytes()
    visit.found(r"the old embedding: CheckpointMismatch: a user embedding of checkpoint r0008-\w+ cannot meet")


def test_a_stolen_copy_shows_nothing_of_the_person(visit: Visit) -> None:
    stolen = b"".join(file.read_bytes() for file in (visit.folder / "stolen").iterdir())
    assert b"SQLite format 3" in stolen
    exported = visit.exported()
    secrets = {PERSON, "view", "hide"}
    for event in exported["events"]["events"]:
        secrets |= {event["event_id"], event["item_id"]}
    assert len(secrets) == 27
    assert [secret for secret in secrets if secret.encode() in stolen] == []
    for embedding in exported["embeddings"]["embeddings"]:
        assert np.array(embedding["vector"], np.float32).tobytes()[:8] not in stolen
    assert visit.found(r"a stolen copy of the store, [\d,]+ bytes, shows (\d+) of") == ("0",)


def test_what_was_exported_is_erased_and_the_receipt_is_true(visit: Visit) -> None:
    exported = visit.exported()
    receipt = json.loads(*visit.found(r"receipt: (\{.*\})"))
    assert exported["user_id"] == PERSON
    assert len(exported["events"]["events"]) == receipt["removed"]["events"] == 12
    assert len(exported["embeddings"]["embeddings"]) == receipt["removed"]["embeddings"] == 2
    assert receipt["complete"] is True
    assert set(receipt["left"].values()) == {0}
    pseudonym = bytes.fromhex(receipt["pseudonym"])
    assert pseudonym in b"".join(file.read_bytes() for file in (visit.folder / "stolen").iterdir())
    left = list(visit.folder.glob("device.sqlite*"))
    assert left
    assert not any(pseudonym in file.read_bytes() for file in left)
    visit.found(r"known now: 0 stories")
