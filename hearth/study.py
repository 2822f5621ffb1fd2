"""A study: trials of settings, kept in a SQLite file so that one that was killed goes on.

The sampler is Optuna's tree-structured Parzen estimator (Bergstra et al. 2011), with a seed of its own for each trial:
what a trial tries follows from the seed and from the trials before it, so that a study that was killed tries the same
as one that was not.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DatabaseError

from feature_store.errors import BadInput, StateMismatch
from hearth.search_space import Range, Space, Value

_NAME = "hearth"
_ABOUT = "about"
_RANDOM_TRIALS = 8  # before the sampler models anything
_UNPRUNED_TRIALS = 8  # before any is pruned: pruned ones do not count for the median, which few trials leave too high


@contextmanager
def open_study(file: Path, about: Mapping[str, object], warm_up: int) -> Iterator[optuna.Study]:
    """The study of a file, which is made where there is none. For whoever alone may write it.

    about: what the figures of the trials follow from besides their values; a study about anything else is refused.
    warm_up: rounds that every trial is given; after them it is pruned where its best is below the median of others.

    Raises:
        BadInput: the file cannot be used: damaged, no study at all, read-only, on a full disk.
        StateMismatch: the file holds a study of other settings or data.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _usable(file), _storage(file) as storage:
        study = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_UNPRUNED_TRIALS, n_warmup_steps=warm_up),
            load_if_exists=True,
        )
        here = json.loads(json.dumps(about))
        there = study.user_attrs.get(_ABOUT)
        if there is None:
            study.set_user_attr(_ABOUT, here)
        elif there != here:
            of_both = _flat(there), _flat(here)
            sides = "; ".join(
                f"{name} {of_both[0].get(name)!r} there and {of_both[1].get(name)!r} here"
                for name in sorted(of_both[0].keys() | of_both[1].keys())
                if of_both[0].get(name) != of_both[1].get(name)
            )
            raise StateMismatch(f"{file} is a study of something else: {sides}. --fresh discards it")
        yield study


def _flat(about: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested fields on one level, as `curvature.momentum`, so that only what differs is named."""
    named: dict[str, Any] = {}
    for name, value in about.items():
        named |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return named


@contextmanager
def _storage(file: Path) -> Iterator[optuna.storages.RDBStorage]:
    storage = optuna.storages.RDBStorage(f"sqlite:///{file}")
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()


@contextmanager
def _usable(file: Path) -> Iterator[None]:
    """What SQLite says of the file, in a line; Optuna passes some of it on as it is, and wraps the rest."""
    try:
        yield
    except (DatabaseError, StorageInternalError) as error:
        cause = error if isinstance(error, DatabaseError) else error.__cause__
        said = cause.orig if isinstance(cause, DatabaseError) else error
        raise BadInput(f"the study {file} cannot be used: {said}; if it is damaged, --fresh discards it") from error


def judged(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that came to an end, or to where they were pruned; not one whose process was killed."""
    return study.get_trials(states=(TrialState.COMPLETE, TrialState.PRUNED))


def next_trial(
    study: optuna.Study, space: Space, start: Mapping[str, Value], seed: int
) -> tuple[Trial, dict[str, Value]]:
    """The next trial and what it tries; the first tries the values to start from."""
    done = len(judged(study))
    sampled = np.random.SeedSequence([seed, done]).generate_state(1)
    study.sampler = optuna.samplers.TPESampler(seed=int(sampled[0]), n_startup_trials=_RANDOM_TRIALS)
    if not done and not study.get_trials(states=(TrialState.WAITING,)):  # one may wait since a kill
        study.enqueue_trial(dict(start))
    trial = study.ask()
    return trial, {path: _suggested(trial, path, values) for path, values in space.items()}


def importance(study: optuna.Study) -> dict[str, float]:
    """How much each setting decided, together 1, the most important first; empty where trials are too few to tell.

    By PED-ANOVA (Watanabe et al. 2023): how differently a setting is spread among the better trials.
    """
    complete = study.get_trials(states=(TrialState.COMPLETE,))
    if len({trial.value for trial in complete}) < 2 or not complete[0].params:
        return {}
    return optuna.importance.get_param_importances(study)


def _suggested(trial: Trial, path: str, values: Range) -> Value:
    if values.among:
        return int(trial.suggest_categorical(path, values.among))
    if values.whole:
        return trial.suggest_int(path, int(values.low), int(values.high))
    return trial.suggest_float(path, values.low, values.high, log=values.log)
