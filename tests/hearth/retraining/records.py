"""Records of made-up retrainings."""

from datetime import UTC, datetime
from typing import Any

from hearth.retraining.record import RetrainingRecord
from hearth.retraining.settings import RetrainingSettings
from tests.hearth.report.records import rounds
from training.gate import Check

STARTED = datetime(2026, 2, 3, 3, 0, 0, 250_000, tzinfo=UTC)
CANDIDATE = {"ndcg@20": 0.375, "recall@20": 0.25, "hr@10": 0.5, "coverage@20": 0.75, "users": 512}
PRODUCTION = {"ndcg@20": 0.3, "recall@20": 0.2, "hr@10": 0.4, "coverage@20": 0.6, "users": 512}


def a_retraining(**changes: Any) -> RetrainingRecord:
    """One that was promoted after three rounds, with a cell that was late once."""
    fields: dict[str, Any] = {
        "started": STARTED,
        "seconds": 90.5,
        "decision": "promoted",
        "why": "ndcg@20 is 0.375; beside production, 0.297 was needed",
        "production": "r0012-aaaa",
        "candidate": "r0012-bbbb",
        "checks": (Check("people judged", 512.0, 100.0, True), Check("ndcg@20", 0.375, 0.297, True)),  # noqa: FBT003
        "figures": {"candidate": CANDIDATE, "production": PRODUCTION},
        "judged_by": "newer than production",
        "since": datetime(2026, 2, 2, 3, 0, tzinfo=UTC),
        "new_items": 1234,
        "warm": True,
        "cells": ("cell-1", "cell-2"),
        "clients": 640,
        "missed": (("round 2", "cell-2", "no answer within <5> seconds"),),
        "adopted": {"people": 640, "folded": 639, "failed": 1},
        "downlink_bytes": 2_500_000,
        "uplink_bytes": 12_000,
        "training_seconds": 31.0,
        "rounds": rounds([None, None, None]),
        "settings": RetrainingSettings().model_dump(mode="json"),
    }
    return RetrainingRecord.model_validate(fields | changes)
