"""The dev overlay, run on this machine: started, probed, filled, retrained, replaced while it is asked, ended.

Of what runs nothing is known here: commands, variables, files, ports, probes and time to stop are the manifests'.
"""

import json
import subprocess
import sys
from typing import Any

import pytest

from k8s.policies.pods import LASTING, pods_of
from tests.k8s.cluster.places import PROJECT
from tests.k8s.cluster.ways import Forbidden, way_here
from tests.k8s.manifests import rendered

PATIENCE = 2700.0  # of a busy machine; it takes 170 s of processor time
CELLS = ("cell-1", "cell-2", "cell-3")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of it."""
    try:
        way = way_here()
    except Forbidden as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("dev")
    (folder / "objects.json").write_text(json.dumps(rendered("dev")))
    command = [*way.node(), sys.executable, "-m", "tests.k8s.cluster.scenario", str(folder)]
    played = subprocess.run(
        [*command, "users" if way.has_users else "one-user"],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    assert played.returncode == 0, played.stderr[-20_000:]
    found: dict[str, Any] = json.loads((folder / "told.json").read_text())
    return found


def staying() -> set[str]:
    """Each container that is to stay, as pod/container; of a Deployment's pods the number is not known before."""
    return {
        f"{pods.owner['metadata']['name']}/{container['name']}"
        for pods in pods_of(rendered("dev"))
        if pods.owner["kind"] in LASTING
        for container in pods.spec["containers"]
    }


def without_number(name: str) -> str:
    pod, _, container = name.partition("/")
    return f"{pod.rpartition('-')[0]}/{container}"


def test_the_job_makes_the_secrets_and_ends_well(told: dict[str, Any]) -> None:
    assert told["jobs"] == {"first-secrets": {"first-secrets": 0}}


def test_what_is_to_stay_stays_and_what_comes_first_ends_well_at_once(told: dict[str, Any]) -> None:
    first = {name for name, exits in told["exits"].items() if exits == [0]}
    assert {name: exits for name, exits in told["exits"].items() if exits and name not in first} == {}
    assert {without_number(name) for name in first} == {
        f"{pods.owner['metadata']['name']}/{container['name']}"
        for pods in pods_of(rendered("dev"))
        if pods.owner["kind"] in LASTING
        for container in pods.spec.get("initContainers", ())
    }


def test_every_event_that_is_sent_through_a_service_is_taken(told: dict[str, Any]) -> None:
    assert told["events"] == {cell: {"201": 400} for cell in CELLS}


def test_the_servers_of_all_cells_begin_with_the_first_model(told: dict[str, Any]) -> None:
    assert len(told["first_models"]) == 3
    assert len({*told["first_models"]}) == 1


def test_the_schedules_command_trains_over_all_cells_under_masks_and_ends_well(told: dict[str, Any]) -> None:
    report = told["report"]
    assert told["retrain"] == {"retrain": 0}
    assert report["cells"] == [*CELLS]
    assert report["secure_sums"]
    assert report["missed"] == []
    assert report["restarts"] == []
    assert report["clients"] == 120
    assert report["production"] == told["first_models"][0]
    assert len(report["rounds"]) == report["settings"]["training"]["rounds"]


def test_what_has_learnt_of_the_cells_people_passes_the_gate_and_every_server_takes_it(told: dict[str, Any]) -> None:
    report = told["report"]
    assert (report["decision"], report["judged_by"]) == ("promoted", "newer than production")
    # By whom people are folded in anew does not matter: the servers, which have seen the promotion too, or the cells.
    assert (report["adopted"]["people"], report["adopted"]["failed"]) == (120, 0)
    assert told["last_models"] == [report["candidate"]] * 3


def test_while_a_server_is_replaced_and_while_it_takes_a_model_no_request_fails(told: dict[str, Any]) -> None:
    for how, asked in told["asked"].items():
        assert asked["models"] == [told["first_models"][0], told["report"]["candidate"]], how
        assert asked["failed"] == [], how
        assert asked["answered"] > 20, how
        assert asked["again"] <= (how == "kept connection"), how


def test_a_server_that_is_replaced_ends_by_itself_after_its_time_to_leave_the_service(told: dict[str, Any]) -> None:
    ((name, ended),) = told["rolled_out"].items()
    assert without_number(name) == "serving-cell-1/serving"
    assert (ended["status"], ended["killed"]) == (0, False)
    assert ended["seconds"] >= 10


def test_every_container_ends_by_itself_in_the_time_that_it_is_given(told: dict[str, Any]) -> None:
    assert {without_number(name) for name in told["ended"]} == staying()
    assert {name: ended for name, ended in told["ended"].items() if ended["killed"]} == {}
