"""Run rules: what a cell holds a server to, so that no two of its sums are over the same people but one.

Sums are over a cohort, and whoever may choose two cohorts that differ by one person learns that person's numbers from
the difference. What a cohort follows from is therefore fixed by the first task of a run that has it, and a round has
one task. That is kept on the disk, by digests: a task that comes again is answered again.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from training.federation.errors import Refused
from training.federation.tasks import CompressedTask, EvaluationTask, PopulationTask, RoundTask, TaskMessage
from training.federation.wire import task_to_bytes

_MOST_RUNS = 50  # the newest

Digest: TypeAlias = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]


class _Held(BaseModel):
    """What one run is held to: by what it is of, such as "round 3", the digest of what a task said of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    said: Mapping[str, Digest] = {}
    since: tuple[float, ...] = Field(default=(0.0,), description="times that evaluations may be about")


_RUNS = TypeAdapter(dict[str, _Held])


class RunRules:
    """Those of one cell. file: made with the first task."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def require(self, task: TaskMessage) -> None:
        """Write down what the task says that is the same throughout its run.

        Raises:
            Refused: an earlier task of the run said otherwise.
            BadInput: the file is damaged.
        """
        match task.header:
            case PopulationTask() as header:
                self._hold(header.run_id, {"the start": task_to_bytes(task)}, (0.0, header.since))
            case RoundTask() as header:
                cohorts = header.model_dump_json(exclude={"round_number"}).encode()
                self._hold(header.run_id, {"rounds": cohorts, f"round {header.round_number}": task_to_bytes(task)})
            case CompressedTask() as header:
                rounds = header.model_dump_json(exclude={"round_number"}).encode()
                self._hold(header.run_id, {"rounds": rounds, f"round {header.round_number}": task_to_bytes(task)})
            case EvaluationTask() as header:
                self._require_since(header.run_id, header.since)
                said = {"people of evaluations": f"{header.population}".encode()}
                if header.most:
                    said["people judged"] = f"{header.most}".encode()
                self._hold(header.run_id, said)
            case _:  # private releases have rules of their own, and who has adopted a checkpoint is in no cohort
                return

    def _require_since(self, run_id: str, since: float) -> None:
        held = self._read().get(run_id, _Held())
        if since not in held.since:
            raise Refused(
                f"evaluations of {run_id} are about everything held out or what is new since {max(held.since):.0f}, "
                f"which the start of the run said; not since {since:.0f}"
            )

    def _hold(self, run_id: str, said: Mapping[str, bytes], since: tuple[float, ...] | None = None) -> None:
        runs = self._read()
        held = runs.pop(run_id, _Held())
        new = {about: hashlib.sha256(content).hexdigest()[:32] for about, content in said.items()}
        for about, digest in new.items():
            if held.said.get(about, digest) != digest:
                raise Refused(
                    f"{about} of {run_id} was asked for otherwise before: a run says once what its cohorts follow "
                    f"from, and a round has one task"
                )
        after = _Held(said={**held.said, **new}, since=since or held.since)
        if after != held:
            kept = dict(list(runs.items())[-(_MOST_RUNS - 1) :]) | {run_id: after}
            replace(self._file, json.dumps(_RUNS.dump_python(kept, mode="json")).encode(), 0o600)

    def _read(self) -> dict[str, _Held]:
        if not self._file.exists():
            return {}
        try:
            return _RUNS.validate_json(self._file.read_bytes())
        except ValidationError as error:
            raise BadInput(f"{self._file}: {faults_of(error)}") from None
