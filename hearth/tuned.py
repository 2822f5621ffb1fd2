"""What a study has come to."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.search_space import Value
from training.settings import TrainingSettings

SETTINGS, PAGE = "settings.json", "report.html"


@dataclass(frozen=True, slots=True)
class Tried:
    """One trial.

    number: its number in the study, from 0; those of trials that were killed are missing.
    outcome: complete; pruned, as others were better by then; or diverged.
    ndcg: the best of its rounds on the validation items; absent where it diverged before the first was judged.
    """

    number: int
    outcome: str
    ndcg: float | None
    values: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Tuned:
    """What a study has come to.

    settings: of the best complete trial.
    start: NDCG@20 on the validation items with the settings to start from.
    best: likewise with `settings`; never below `start`.
    best_trial: its number.
    trials: all that came to an end, those of earlier sessions too.
    importance: how much each setting decided, together 1.
    """

    folder: Path
    settings: TrainingSettings
    start: float
    best: float
    best_trial: int
    trials: tuple[Tried, ...]
    importance: dict[str, float]

    def summary(self) -> dict[str, Any]:
        """For a program."""
        counts = {name: sum(t.outcome == name for t in self.trials) for name in ("complete", "pruned", "diverged")}
        return {
            "trials": counts,
            "valid_ndcg@20": {"start": self.start, "best": self.best},
            "settings": self.settings.model_dump(mode="json"),
            "settings_file": str(self.folder / SETTINGS),
            "report": str(self.folder / PAGE),
            "importance": self.importance,
        }

    def text(self) -> str:
        """For a person."""
        return (
            f"The best of {len(self.trials)} trials has NDCG@20 {self.best:.4f} on the validation items, where the "
            f"settings it started from have {self.start:.4f}.\n"
            f"Settings: {self.folder / SETTINGS}\n"
            f"Report: {self.folder / PAGE}\n"
            f"To train with them: hearth train --config {self.folder / SETTINGS} ..."
        )
