"""Models that were really trained, by the command, on what a data set has of the time before a cut."""

import csv
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from feature_store.signing import SigningKey
from serving.model import ServingModel, build_model
from tests.hearth.command import Command

DATA = os.environ.get("HEARTH_DATA")
needs_data = pytest.mark.skipif(DATA is None, reason="HEARTH_DATA does not name the folder of the real data sets")


class Trained(NamedTuple):
    """A registry with one checkpoint in production, and the key that it is trusted by."""

    registry: Path
    public_key: Path
    model: ServingModel


def rows_of(data_set: str, table: str) -> Iterator[Mapping[str, str]]:
    with gzip.open(Path(str(DATA)) / data_set / table, "rt") as lines:
        yield from csv.DictReader(lines)


def trained_before(cut: float, data_set: str, vertical: str, folder: Path, item_item: int = 0) -> Trained:
    """Small, of few rounds: enough to tell people apart.

    item_item: among how many items there are item-item weights.
    """
    inputs, registry, public_key = folder / "inputs", folder / "registry", folder / "trusted.pem"
    inputs.mkdir()
    with gzip.open(inputs / "interactions.csv.gz", "wt", compresslevel=1) as written:
        rows = (row for row in rows_of(data_set, "interactions.csv.gz") if float(row["timestamp"]) < cut)
        table = csv.DictWriter(written, ["user_id", "item_id", "timestamp", "event"], extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    command, config = Command(folder), folder / "training.json"
    config.write_text(json.dumps({"item_item": {"items": item_item}}))
    settings = ("--vertical", vertical, "--rounds", "8", "--patience", "0", "--dim", "32", "--test-share", "0")
    command.run(
        "train", "--interactions", inputs, "--registry", registry, "--config", config, *settings, "--promote", "--json"
    ).json()
    public_key.write_bytes(SigningKey.load(command.key).public.pem())
    published = command.registry(registry)
    return Trained(registry, public_key, build_model(published.load(published.production())))
