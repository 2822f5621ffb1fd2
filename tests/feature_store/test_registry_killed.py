"""Killed at any moment, or with two writers at once, a registry stays sound and usable."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from feature_store.registry import Registry
from feature_store.registry_collection import Rules
from feature_store.signing import SigningKey
from feature_store.stages import Stages
from tests.feature_store.drafts import a_draft, registry_of

ROOT = Path(__file__).parents[2]
KILLED = -signal.SIGKILL


class Writer:
    """The program `registry_writer`, which does one job at a time in a process that may be killed."""

    def __init__(self, program: "subprocess.Popen[str]") -> None:
        assert program.stdin is not None
        assert program.stdout is not None
        self._jobs, self._answers = program.stdin, program.stdout

    def begin(self, **job: object) -> int:
        """Begin a job and return the id of the process that does it."""
        self._jobs.write(json.dumps(job) + "\n")
        self._jobs.flush()
        return int(self._answers.readline())

    def end(self) -> int:
        """Wait for the end of the job and return how its process ended."""
        return int(self._answers.readline())


@contextmanager
def writer() -> Iterator[Writer]:
    """Forked processes get none of numpy's threads, hence one thread alone."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.feature_store.registry_writer"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as program:
        yield Writer(program)
        assert program.stdin is not None
        program.stdin.close()
        assert program.wait(timeout=30) == 0


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.load_or_create(tmp_path / "key.pem")


def assert_sound(registry: Registry) -> Stages:
    """Everything listed loads and verifies, and so does what is in production and what was."""
    stages = registry.stages()
    published = registry.checkpoint_ids()  # after the stages: another writer may be at work
    for checkpoint_id in published:
        assert registry.load(checkpoint_id).manifest.checkpoint_id == checkpoint_id
    assert {stages.production, *stages.previous} <= {None, *published}
    return stages


def files_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_writer_killed_at_random_moments_leaves_a_sound_registry(tmp_path: Path, key: SigningKey) -> None:
    folder, moments, killed = tmp_path / "registry", np.random.default_rng(11), 0
    with writer() as program:
        for kill in range(25):
            process = program.begin(
                job="publish_endlessly", folder=str(folder), key=str(tmp_path / "key.pem"), first=kill * 10
            )
            time.sleep(moments.uniform(0.0, 0.15))
            os.kill(process, signal.SIGKILL)
            killed += program.end() == KILLED
            registry = registry_of(folder, key)
            before = assert_sound(registry)
            manifest = registry.publish(a_draft(1000 + kill), key)
            after = registry.promote(manifest.checkpoint_id)
            assert after.previous == tuple(filter(None, [*before.previous, before.production]))
            assert registry.load(registry.production()).manifest == manifest
    assert killed == 25


def test_a_writer_killed_before_each_of_its_steps_leaves_a_sound_registry(tmp_path: Path, key: SigningKey) -> None:
    """Publishing and promoting the second checkpoint is stopped before its 1st, 2nd, ... operation on a file."""
    first, second = "", ""
    whole: list[str] = []
    steps = 0
    with writer() as program:
        while True:
            folder = tmp_path / f"registry stopped at {steps}"
            registry = registry_of(folder, key)
            first = registry.publish(a_draft(1), key).checkpoint_id
            registry.promote(first)
            program.begin(job="publish", folder=str(folder), key=str(tmp_path / "key.pem"), seeds=[2], stop=steps)
            ended = program.end()
            stages = assert_sound(registry_of(folder, key))
            if steps == 0:  # nothing was stopped: what the others must come to
                assert ended == 0
                assert stages.production is not None
                second, whole = stages.production, files_of(folder)
            elif ended == 0:
                break
            assert stages in {Stages(first), Stages(second, (first,))}
            assert registry.publish(a_draft(2), key).checkpoint_id == second
            assert registry.promote(second) == Stages(second, (first,))
            assert files_of(folder) == whole
            assert registry.roll_back() == Stages(first)
            assert registry.load(registry.production()).manifest.checkpoint_id == first
            steps += 1
    assert steps > 30


def test_a_collection_killed_before_each_of_its_steps_leaves_a_sound_registry(tmp_path: Path, key: SigningKey) -> None:
    """Four were in production one after the other; two of them go. What is left loads, and the next one ends it."""
    prepared = registry_of(tmp_path / "prepared", key)
    *gone, before, now = [prepared.publish(a_draft(seed), key).checkpoint_id for seed in range(4)]
    for checkpoint_id in (*gone, before, now):
        prepared.promote(checkpoint_id)
    steps = 0
    with writer() as program:
        while True:
            folder = shutil.copytree(prepared.folder, tmp_path / f"registry stopped at {steps}")
            registry = registry_of(folder, key)
            program.begin(job="collect", folder=str(folder), key=str(tmp_path / "key.pem"), stop=steps)
            ended = program.end()
            stages = registry.stages()
            assert stages in {Stages(now, (*gone, before)), Stages(now, (before,))}
            assert_sound(registry_of(folder, key))
            registry.collect(Rules(keep=1, grace=0.0), dry_run=False)
            assert registry.checkpoint_ids() == sorted([before, now])
            assert registry.stages() == Stages(now, (before,))
            assert not list(folder.rglob(".*"))
            shutil.rmtree(folder)
            if ended == 0 and steps:
                break
            steps += 1
    assert steps > 20


def test_a_key_whose_making_was_stopped_at_any_step_is_whole_or_not_there(tmp_path: Path) -> None:
    steps = 1
    with writer() as program:
        while True:
            folder = tmp_path / f"stopped at {steps}"
            folder.mkdir()
            program.begin(job="create_key", folder=str(folder), stop=steps)
            if program.end() == 0:
                break
            made = SigningKey.load_or_create(folder / "key.pem").public.key_id
            assert SigningKey.load(folder / "key.pem").public.key_id == made
            steps += 1
    assert steps > 6


def test_two_writers_at_once_lose_no_promotion(tmp_path: Path, key: SigningKey) -> None:
    folder = tmp_path / "registry"
    with writer() as one, writer() as other:
        for program, seeds in ((one, list(range(20))), (other, list(range(20, 40)))):
            program.begin(job="publish", folder=str(folder), key=str(tmp_path / "key.pem"), seeds=seeds, stop=0)
        reads = 0
        while len(registry_of(folder, key).stages().previous) < 39 and reads < 3000:
            stages = assert_sound(registry_of(folder, key))
            assert len({*stages.previous, stages.production}) == len(stages.previous) + 1
            reads += 1
        assert [one.end(), other.end()] == [0, 0]
    stages = assert_sound(registry_of(folder, key))
    assert (
        sorted([*stages.previous, registry_of(folder, key).production()]) == registry_of(folder, key).checkpoint_ids()
    )
    assert len(registry_of(folder, key).checkpoint_ids()) == 40


def test_two_writers_of_the_same_content_make_one_checkpoint_of_it(tmp_path: Path, key: SigningKey) -> None:
    folder = tmp_path / "registry"
    with writer() as one, writer() as other:
        for program in (one, other):
            program.begin(
                job="publish", folder=str(folder), key=str(tmp_path / "key.pem"), seeds=list(range(15)), stop=0
            )
        assert [one.end(), other.end()] == [0, 0]
    assert_sound(registry_of(folder, key))
    assert len(registry_of(folder, key).checkpoint_ids()) == 15
