"""Settings of a retraining, and where its federation is: what is missing is said by its name."""

from pathlib import Path

import pytest

from feature_store.errors import BadInput
from hearth.retraining.place import place_elsewhere, place_of_folder
from hearth.retraining.settings import ROUNDS, read_retraining_settings
from tests.hearth.command import ROOT, Command


def test_options_go_before_the_file_and_rounds_are_few_where_nobody_names_them(tmp_path: Path) -> None:
    file = tmp_path / "retrain.toml"
    file.write_text("least_new_events = 50\n[gate]\ntolerance = 0.2\n[training]\ndim = 16\n")
    found = read_retraining_settings(file, {"gate.first": True, "least_new_events": None, "quorum": 2})
    assert (found.least_new_events, found.gate.tolerance, found.gate.first) == (50, 0.2, True)
    assert (found.training.dim, found.training.rounds, found.quorum) == (16, ROUNDS, 2)
    assert read_retraining_settings(file, {"training.rounds": 3}).training.rounds == 3
    assert read_retraining_settings(None, {}).training.rounds == ROUNDS


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("[gate]\nmetric = 'mrr'", "gate.metric"),
        ("quorums = 2", "quorums"),
        ("held_out = 0", "held_out"),
        ("x =", "TOML"),
    ],
)
def test_what_is_no_setting_is_refused_by_its_name(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "retrain.toml"
    file.write_text(content)
    with pytest.raises(BadInput, match=said):
        read_retraining_settings(file, {})


def test_the_example_is_of_that_form_and_names_every_setting_of_the_gate() -> None:
    found = read_retraining_settings(ROOT / "examples" / "retrain.toml", {})
    assert found.gate.model_fields_set == {"metric", "tolerance", "least_coverage", "least_people"}


def test_the_quorum_is_more_than_half_of_the_cells_that_are_planned_or_named(tmp_path: Path) -> None:
    def asked(planned: int, **options: int) -> tuple[int, int]:
        request = read_retraining_settings(None, options).request("r", tmp_path / "k", None, planned)
        return request.cells, request.quorum

    assert asked(3) == (3, 2)
    assert asked(3, cells=4) == (4, 3)
    assert asked(3, quorum=1) == (3, 1)


def test_a_federation_elsewhere_is_named_by_all_of_its_parts(tmp_path: Path) -> None:
    authority, key = tmp_path / "authority.pem", tmp_path / "key.pem"
    with pytest.raises(BadInput, match=r"missing: --superlink, --centre$"):
        place_elsewhere(None, authority, "models", key, None)
    with pytest.raises(BadInput, match="there is no certificate"):
        place_elsewhere("h:9092", authority, "models", key, tmp_path)
    authority.touch()
    place = place_elsewhere("h:9092", authority, "s3://bucket/models", key, tmp_path)
    assert (place.registry, place.state, place.cells) == ("s3://bucket/models", tmp_path / "training", None)
    (tmp_path / "node-keys").mkdir()
    for name in ("a.pub", "b.pub", "c.pub", "notes"):
        (tmp_path / "node-keys" / name).touch()
    folder = place_elsewhere("h:9092", authority, str(tmp_path / "models"), key, tmp_path)
    assert folder.cells == 3
    assert (folder.registry, folder.state) == (str(tmp_path / "models"), None)


def test_a_folder_in_which_nothing_runs_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="there is no federation in"):
        place_of_folder(tmp_path)


def test_the_command_takes_a_folder_or_parts_and_not_both_and_what_the_environment_says_does_not_matter(
    tmp_path: Path,
) -> None:
    command = Command(tmp_path)
    command.environment |= {"HEARTH_FEDERATION_ADDRESS": "h:1", "HEARTH_REGISTRY": str(tmp_path)}
    with command.server() as run:
        both = run("retrain", "--folder", tmp_path / "f", "--superlink", "h:1")
        assert (both.status, both.stdout) == (2, "")
        assert "--superlink is for a federation without --folder" in both.stderr
        assert "there is no federation in" in run("retrain", "--folder", tmp_path / "f").error()
        assert "missing: --authority, --centre" in run("retrain").error()
        assert "has five fields" in run("retrain", "--folder", tmp_path / "f", "--schedule", "0 3 * *").error()
