"""Tuning: settings chosen by how well trainings with them validate. The test part has no say: it is not even there."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from feature_store import durable
from feature_store.errors import BadInput, Diverged
from hearth.report.tuning_page import tuning_page
from hearth.search_space import Value, settings_of, space_of, start_values
from hearth.study import importance, judged, next_trial, open_study
from hearth.tuned import PAGE, SETTINGS, Tried, Tuned
from training.histories import Histories
from training.item_features import ItemFeatures
from training.loop import RoundReport
from training.run import prepare
from training.settings import TrainingSettings
from training.split import OutOfReach, Split, digest

STUDY = "study.sqlite"
_DIVERGED = "diverged"


@dataclass(frozen=True, slots=True)
class Watch:
    """Who is told of a study: of each round with its trial's number, and after each trial of all so far."""

    round: Callable[[int, RoundReport], None]
    trial: Callable[[Tuned], None]


def tune(
    folder: Path,
    split: Split,
    features: ItemFeatures,
    base: TrainingSettings,
    *,
    trials: int,
    timeout: float | None = None,
    dims: tuple[int, ...] = (),
    fresh: bool = False,
    watch: Watch,
) -> Tuned:
    """Try settings until the study has that many trials that came to a figure, or the time is up.

    The first trial is of the settings as they are, so that the outcome is never below them. The folder has the best
    settings so far after each trial.

    Args:
        folder: of the study; one that was stopped there is gone on with.
        split: its validation part chooses, its test part is left out before anything else.
        features: of the items.
        base: where to start; what the search space does not name stays as it is there.
        trials: how many, those of earlier sessions included.
        timeout: seconds after which no further trial starts.
        dims: numbers of dimensions to try; none leaves the one of `base`.
        fresh: discard the study that is there.
        watch: who is told.

    Raises:
        BadInput: nobody has validation items, the timeout is no number, another process is tuning there, or the
            file of the study cannot be used.
        StateMismatch: the folder has a study of other settings or data.
        Diverged: the settings to start from diverge.
    """
    if not split.valid.rows.size:
        raise BadInput("nobody has validation items; there is nothing to choose settings by")
    if timeout is not None and not timeout >= 0:
        raise BadInput(f"the timeout is a number of seconds, at least 0; got {timeout}")
    split = without_test(split)
    space = space_of(base, len(split.vocabulary), dims)
    start = start_values(base, len(split.vocabulary), space)
    about = {
        **base.model_dump(mode="json"),
        "space": {path: [*(values.among or (values.low, values.high))] for path, values in space.items()},
        "data": digest(split),
        "features": features.digest(),
    }
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        if fresh:
            (folder / STUDY).unlink(missing_ok=True)
        with open_study(folder / STUDY, about, warm_up=base.rounds // 4) as study:
            while len(judged(study)) < trials:
                if judged(study) and timeout is not None and time.monotonic() - started >= timeout:
                    break
                trial, values = next_trial(study, space, start, base.seed)
                _try(study, trial, values, split, features, base, watch)
                tuned = _come_to(study, folder, base)
                _write(tuned)
                watch.trial(tuned)
            tuned = _come_to(study, folder, base)
            _write(tuned)
            return tuned


def without_test(split: Split) -> Split:
    """The split with nothing in its test part, nor anywhere else that it might be looked up."""
    nothing = Histories(np.empty(0, np.int32), np.zeros(len(split.user_ids) + 1, np.int64))
    return replace(split, test=nothing, out_of_reach=OutOfReach(), final=None)


def _try(
    study: optuna.Study,
    trial: Trial,
    values: Mapping[str, Value],
    split: Split,
    features: ItemFeatures,
    base: TrainingSettings,
    watch: Watch,
) -> None:
    """Train with these values and tell the study how it went; where others did better by then, stop early.

    What counts is what would be published, with whatever is collected beside the state that validated best. It can
    differ a little from the best of the rounds: item counts, which scores may be discounted by, are the last ones.
    """
    run = prepare(split, settings_of(base, values), features)
    state, best = run.start(), 0.0
    try:
        for after, report in run.rounds(state):
            state = after
            best = max(best, report.validation or 0.0)
            trial.report(best, report.round_number)
            watch.round(trial.number, report)
            if trial.should_prune():
                study.tell(trial, state=TrialState.PRUNED)
                return
    except Diverged:
        if not judged(study):  # where everything starts from must stand
            study.tell(trial, state=TrialState.FAIL)
            raise
        trial.set_user_attr(_DIVERGED, value=True)
        study.tell(trial, state=TrialState.PRUNED)  # no figure, which the sampler takes for the worst
        return
    chosen = state.chosen()
    study.tell(trial, run.validation(chosen, run.item_item(chosen)).ndcg)


def _come_to(study: optuna.Study, folder: Path, base: TrainingSettings) -> Tuned:
    trials = judged(study)
    best = study.best_trial
    return Tuned(
        folder=folder,
        settings=settings_of(base, best.params),
        start=_figure(trials[0]) or 0.0,
        best=_figure(best) or 0.0,
        best_trial=best.number,
        trials=tuple(map(_tried, trials)),
        importance=importance(study),
    )


def _tried(trial: FrozenTrial) -> Tried:
    pruned = "diverged" if _DIVERGED in trial.user_attrs else "pruned"
    outcome = "complete" if trial.state is TrialState.COMPLETE else pruned
    return Tried(trial.number, outcome, _figure(trial), dict(trial.params))


def _figure(trial: FrozenTrial) -> float | None:
    """What it came to; of a pruned one the best of its rounds, None where it diverged before there was one."""
    if trial.state is TrialState.COMPLETE:
        return trial.value
    return max(trial.intermediate_values.values(), default=None)


def _write(tuned: Tuned) -> None:
    for name, content in (
        (SETTINGS, tuned.settings.model_dump_json(indent=2).encode() + b"\n"),
        (PAGE, tuning_page(tuned)),
    ):
        durable.remove_drafts(tuned.folder / name)
        durable.replace(tuned.folder / name, content)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for one study."""
    with ExitStack() as held:
        try:
            held.enter_context(durable.exclusive(folder / "lock", wait=False))
        except BlockingIOError as error:
            raise BadInput(f"another process is tuning in {folder}; wait for it, or name another folder") from error
        yield
