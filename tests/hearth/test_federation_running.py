"""A run that is watched: its rounds as they come, its outcome, and what is done when it ends without one."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_store.errors import BadInput
from hearth.federation.alone import AlreadyTraining, alone
from hearth.federation.control import RunState
from hearth.federation.layout import Layout
from hearth.federation.running import RESTARTS, run_to_end
from training.federation.centre import Request, RunOutcome, read_request, write_outcome
from training.federation.errors import FederationError
from training.run_log import RoundRecord, append
from training.saved_rounds import log_of_rounds

KILLED = RunState("finished", "failed", "No heartbeat received from the task")
DONE = RunState("finished", "completed", "")


def record(number: int, finished: datetime | None = None) -> RoundRecord:
    return RoundRecord(
        round_number=number,
        finished=finished or datetime.now(UTC),
        cohort=20,
        loss=1.0,
        seconds=1.0,
        uplink_bytes_per_client=8,
    )


class Centre:
    """A SuperLink in memory: each run does one step a time that it is asked how it stands.

    steps: of each run in turn; a step gives the state to tell.
    """

    def __init__(self, layout: Layout, *runs: list[Callable[[str], RunState]]) -> None:
        self._layout, self._runs = layout, list(runs)
        self.requests: list[str] = []
        self.stopped: list[int] = []

    def start(self, request: str) -> int:
        self.requests.append(request)
        return len(self.requests) - 1

    def state(self, run_id: int) -> RunState:
        return self._runs[run_id].pop(0)(self.requests[run_id])

    def stop(self, run_id: int) -> None:
        self.stopped.append(run_id)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "registry" / "training").mkdir(parents=True)
    return Layout(tmp_path)


def request(layout: Layout, *, fresh: bool = False) -> Request:
    return Request(registry=str(layout.registry), signing_key=layout.signing_key, fresh=fresh)


def does_round(layout: Layout, number: int) -> Callable[[str], RunState]:
    def step(_: str) -> RunState:
        append(log_of_rounds(layout.registry / "training"), record(number))
        return RunState("running", "", "")

    return step


def ends(layout: Layout, outcome: RunOutcome | None, state: RunState) -> Callable[[str], RunState]:
    def step(name: str) -> RunState:
        if outcome is not None:
            write_outcome(layout.centre, name, outcome)
        return state

    return step


def test_rounds_are_shown_once_each_those_of_before_never_and_the_outcome_is_the_runs(layout: Layout) -> None:
    append(log_of_rounds(layout.registry / "training"), record(1, datetime.now(UTC) - timedelta(days=1)))
    later = datetime.now(UTC) + timedelta(seconds=9)
    outcome = RunOutcome(checkpoint_id="r0004-abc", rounds=4, log=tuple(record(number, later) for number in (2, 3, 4)))
    centre = Centre(layout, [does_round(layout, 2), does_round(layout, 3), ends(layout, outcome, DONE)])
    shown: list[int] = []
    # round 4 is in the outcome alone: the log was removed before anybody looked
    told = run_to_end(centre, layout, request(layout), lambda record: shown.append(record.round_number))
    assert told == outcome
    assert shown == [2, 3, 4]


def test_a_server_that_was_killed_is_asked_again_and_does_not_discard_what_it_saved(layout: Layout) -> None:
    outcome = RunOutcome(checkpoint_id="r0004-abc", rounds=4)
    centre = Centre(layout, [ends(layout, None, KILLED)], [ends(layout, outcome, DONE)])
    why: list[str] = []
    assert run_to_end(centre, layout, request(layout, fresh=True), lambda _: None, why.append) == outcome
    assert why == ["No heartbeat received from the task"]
    assert [read_request(layout.centre, name).fresh for name in centre.requests] == [True, False]


def test_an_error_of_the_run_is_the_error_and_is_not_tried_again(layout: Layout) -> None:
    centre = Centre(layout, [ends(layout, RunOutcome(error="TooFewCells: 2 cells are needed"), KILLED)])
    with pytest.raises(FederationError, match=r"^TooFewCells: 2 cells are needed$"):
        run_to_end(centre, layout, request(layout), lambda _: None)
    assert len(centre.requests) == 1


def test_a_run_that_flower_calls_completed_without_an_outcome_has_failed(layout: Layout) -> None:
    centre = Centre(layout, *([ends(layout, None, DONE)] for _ in range(1 + RESTARTS)))
    with pytest.raises(FederationError, match="failed 4 times without saying why; Flower says: completed"):
        run_to_end(centre, layout, request(layout), lambda _: None)


def test_a_run_that_somebody_stopped_is_not_asked_for_again(layout: Layout) -> None:
    centre = Centre(layout, [ends(layout, None, RunState("finished", "stopped", ""))])
    with pytest.raises(FederationError, match="was stopped; the same command goes on"):
        run_to_end(centre, layout, request(layout), lambda _: None)


def test_a_superlink_that_is_away_for_a_while_is_waited_for_and_ctrl_c_stops_the_run(layout: Layout) -> None:
    def away(_: str) -> RunState:
        raise FederationError("the SuperLink does not answer")

    def interrupted(_: str) -> RunState:
        raise KeyboardInterrupt

    outcome = RunOutcome(checkpoint_id="r0004-abc")
    centre = Centre(layout, [away, ends(layout, outcome, DONE)])
    assert run_to_end(centre, layout, request(layout), lambda _: None) == outcome
    centre = Centre(layout, [interrupted])
    with pytest.raises(KeyboardInterrupt):
        run_to_end(centre, layout, request(layout), lambda _: None)
    assert centre.stopped == [0]


def test_while_somebody_trains_nothing_is_asked_for(layout: Layout) -> None:
    centre = Centre(layout)
    with alone(layout.centre), pytest.raises(AlreadyTraining, match="another training is under way"):
        run_to_end(centre, layout, request(layout), lambda _: None)
    assert centre.requests == []


def test_the_run_of_a_command_that_was_interrupted_is_stopped_before_the_next_asks(layout: Layout) -> None:
    def interrupted(_: str) -> RunState:
        raise KeyboardInterrupt

    def running(_: str) -> RunState:
        assert centre.requests == centre.requests[:1]
        return RunState("running", "", "")

    outcome = RunOutcome(checkpoint_id="r0004-abc")
    centre = Centre(layout, [interrupted, running, lambda _: DONE], [ends(layout, outcome, DONE)])
    with pytest.raises(KeyboardInterrupt):
        run_to_end(centre, layout, request(layout), lambda _: None)
    assert run_to_end(centre, layout, request(layout), lambda _: None) == outcome
    assert centre.stopped == [0, 0]


@pytest.mark.parametrize("name", ["../x", "", "a/b", "A", 3, None])
def test_a_request_is_named_and_never_a_path(layout: Layout, name: object) -> None:
    with pytest.raises(BadInput, match="the name of a request is a-z, 0-9 and -"):
        read_request(layout.centre, name)
