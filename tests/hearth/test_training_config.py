"""Settings of a training, from a file and from options."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

import hearth.cli
from feature_store.errors import BadInput
from hearth.training_config import training_settings
from tests.hearth.command import Ended
from tests.hearth.conftest import Trained
from training.server_settings import FedAdamServer, FedAvgMServer, FedAvgServer
from training.settings import TrainingSettings

TOML = """
algorithm = "fedavg"
dim = 16
[fedavg]
local_epochs = 3
[server]
optimizer = "fedadam"
tau = 0.01
[aggregation]
rule = "median"
group_size = 5
"""


def written(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text)
    return folder / name


def test_a_toml_file_names_some_settings_and_the_rest_are_the_defaults(tmp_path: Path) -> None:
    settings = training_settings(written(tmp_path, "some.toml", TOML), {"dim": None})
    assert (settings.dim, settings.fedavg.local_epochs, settings.rounds) == (16, 3, TrainingSettings().rounds)
    assert settings.server == FedAdamServer(tau=0.01)
    assert (settings.aggregation.rule, settings.aggregation.group_size) == ("median", 5)


def test_all_settings_written_as_json_are_read_back(tmp_path: Path) -> None:
    settings = TrainingSettings(algorithm="fedavg", server=FedAvgMServer(momentum=0.3), alpha=0.1, seed=3)
    assert training_settings(written(tmp_path, "all.json", settings.model_dump_json()), {}) == settings


def test_options_go_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, "some.toml", TOML)
    settings = training_settings(file, {"dim": 8, "aggregation.rule": "trimmed_mean", "server.optimizer": "fedadam"})
    assert settings.dim == 8
    assert (settings.aggregation.rule, settings.aggregation.group_size) == ("trimmed_mean", 5)
    assert settings.server == FedAdamServer(tau=0.01)  # the optimizer of the file, with what it says of it


def test_another_server_optimizer_takes_nothing_of_what_the_file_says_of_its_own(tmp_path: Path) -> None:
    settings = training_settings(written(tmp_path, "some.toml", TOML), {"server.optimizer": "fedavgm"})
    assert settings.server == FedAvgMServer()
    everything = written(tmp_path, "all.json", TrainingSettings(algorithm="fedavg").model_dump_json())
    assert training_settings(everything, {"server.optimizer": "fedadam"}).server == FedAdamServer()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.yaml", "dim: 3", "neither .toml nor .json"),
        ("a.toml", "dim = = 3", "not readable as TOML"),
        ("a.json", "{", "not readable as JSON"),
        ("a.json", "[]", "holds a list; settings are names with values"),
        (
            "a.json",
            '{"aggregation": {"rule": "median"}, "item_item": {"items": 9}}',
            "once after the rounds for item_item",
        ),
        (
            "a.json",
            '{"aggregation": {"clip_norm": 1}, "context": {"features": ["hour"]}}',
            "after the rounds for context",
        ),
        ("a.json", '{"dims": 3}', "dims: Extra inputs are not permitted"),
        ("a.json", '{"dim": 0}', "dim: Input should be greater than or equal to 1"),
        ("a.toml", 'algorithm = "fedavg"\n[server]\noptimizer = "fedadam"\nmixing = 0.1', "server.fedadam.mixing"),
        ("a.toml", '[server]\noptimizer = "fedadam"', "algorithm curvature has a step of its own"),
        ("a.toml", '[aggregation]\nrule = "median"\nsums_only = true', "compares the updates of single clients"),
    ],
)
def test_a_file_that_cannot_be_is_refused_by_its_name(tmp_path: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=re.escape(said)) as refused:
        training_settings(written(tmp_path, name, text), {})
    assert str(tmp_path / name) in str(refused.value)


def test_options_that_do_not_go_together_are_refused() -> None:
    with pytest.raises(BadInput, match=r"^settings: server optimizer fedyogi steps along what clients learnt"):
        training_settings(None, {"server.optimizer": "fedyogi"})


def test_an_option_can_complete_what_the_file_alone_could_not_be(tmp_path: Path) -> None:
    file = written(tmp_path, "adam.json", '{"server": {"optimizer": "fedadam", "learning_rate": 0.5}}')
    assert training_settings(file, {"algorithm": "fedavg"}).server == FedAdamServer(learning_rate=0.5)


@pytest.mark.parametrize(
    ("text", "option", "value"),
    [
        ('{"server": "fedadam"}', "server.optimizer", "fedyogi"),
        ('{"aggregation": 3}', "aggregation.rule", "median"),
        ('{"aggregation": [["rule", "mean"]]}', "aggregation.rule", "median"),
    ],
)
def test_a_part_of_a_file_that_is_no_table_is_refused_though_an_option_names_a_field_of_it(
    tmp_path: Path, text: str, option: str, value: str
) -> None:
    file = written(tmp_path, "part.json", text)
    with pytest.raises(BadInput, match=rf"{option.partition('.')[0]}: Input should be a valid dictionary"):
        training_settings(file, {"algorithm": "fedavg", option: value})


def test_the_server_optimizer_of_a_file_that_names_none_is_fedavg(tmp_path: Path) -> None:
    file = written(tmp_path, "rate.json", '{"algorithm": "fedavg", "server": {"learning_rate": 0.5}}')
    assert training_settings(file, {}).server == FedAvgServer(learning_rate=0.5)


def test_the_defaults_that_help_shows_are_those_of_the_settings() -> None:
    train = typer.main.get_command(hearth.cli.app).commands["train"]  # type: ignore[attr-defined]  # a group has commands
    said = {
        option.name: re.search(r"Default: (\S+?)\.?$", getattr(option, "help", "") or "") for option in train.params
    }
    settings: dict[str, Any] = TrainingSettings().model_dump()
    flat = settings | {
        "server_optimizer": settings["server"]["optimizer"],
        "aggregation": settings["aggregation"]["rule"],
    }
    shown = {name: match.group(1) for name, match in said.items() if match and name in flat}
    assert shown == {name: str(flat[name]) for name in shown}
    assert {"dim", "rounds", "cohort", "seed", "algorithm", "server_optimizer", "aggregation", "patience"} <= set(shown)


def test_a_training_follows_its_file_and_its_checkpoint_says_so(
    trained: Trained, hearth: Callable[..., Ended], tmp_path: Path
) -> None:
    changed = {"algorithm": "fedavg", "dim": 4, "rounds": 9, "aggregation": {"rule": "median", "group_size": 5}}
    file = written(tmp_path, "settings.json", json.dumps(changed))
    registry = tmp_path / "registry"
    ended = hearth(
        "train", "--interactions", trained.world, "--registry", registry, "--config", file, "--rounds", "2",
        "--server-optimizer", "fedyogi", "--json",
    ).json()  # fmt: skip
    assert ended["rounds"] == 2
    used = trained.command.registry(registry).manifest(ended["checkpoint_id"]).training
    assert used["dim"] == 4
    assert used["server.optimizer"] == "fedyogi"
    assert (used["aggregation.rule"], used["aggregation.group_size"]) == ("median", 5)
