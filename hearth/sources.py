"""From a path on the command line to a split and the features of its items."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from feature_store.catalogue import Catalogue, Kind, read_catalogue
from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.catalogue_features import catalogue_features
from training.interactions import read_interactions
from training.item_features import ItemFeatures
from training.split import Split
from training.split_folder import read_split_folder
from training.split_rule import SplitRule
from training.tower_settings import DEFAULT, TowerSettings

BY_PERSON = SplitRule()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A split, its items' catalogue where there is one, and what was left out on the way, in words."""

    split: Split
    catalogue: Catalogue | None
    notes: tuple[str, ...] = ()

    def features(self, settings: TowerSettings = DEFAULT) -> ItemFeatures:
        """What the item tower is told of the items, in the order of the vocabulary."""
        return item_features(self.split.vocabulary, self.catalogue, settings)


def read_source(
    path: Path,
    items: Path | None = None,
    *,
    valid: float = 0.1,
    test: float = 0.2,
    min_value: float | None = None,
    kinds: Mapping[str, Kind] | None = None,
    rule: SplitRule = BY_PERSON,
) -> Source:
    """Read what a path names: a split folder, a folder with interactions.csv, or a file of interactions.

    Args:
        path: a folder with train.txt[.gz] and test.txt[.gz] is taken as it is split; interactions are split by time.
        items: a catalogue; beside interactions.csv, items.csv is found by itself.
        valid: share of each person's items (of all interactions, by time) that validates, where there is no split yet.
        test: share that tests.
        min_value: leave out interactions below it.
        kinds: what columns of the catalogue hold, where their cells do not say; see `read_catalogue`.
        rule: how interactions are split.

    Raises:
        BadInput: the path names nothing that can be read, or a split folder where values or a rule are asked for.
    """
    if path.is_dir() and any((path / name).exists() for name in ("train.txt", "train.txt.gz")):
        if min_value is not None:
            raise BadInput(
                f"{path} is split already and has no values; a least value of {min_value} says nothing of it"
            )
        if rule != BY_PERSON:
            raise BadInput(f"{path} is split already; it cannot be split by {rule.by}")
        catalogue = read_catalogue(items, kinds) if items else None
        return Source(read_split_folder(path), catalogue)
    if path.is_dir():
        file = _beside(path, "interactions")
        if file is None:
            raise BadInput(f"{path} has neither train.txt[.gz] nor interactions.csv[.gz]")
        items = items or _beside(path, "items")
        path = file
    catalogue = read_catalogue(items, kinds) if items else None
    vocabulary = catalogue.vocabulary if catalogue else None
    interactions = read_interactions(path, vocabulary=vocabulary, min_value=min_value)
    split = rule.split(interactions, valid=valid, test=test)
    notes = []
    if interactions.left_out.lines:
        notes.append(f"{interactions.left_out.lines:,} interactions below the value {min_value} left out")
    if split.repeats:
        notes.append(f"{split.repeats:,} repeated interactions counted once")
    if split.out_of_reach.targets:
        out = split.out_of_reach
        notes.append(
            f"{out.targets:,} of {out.asked:,} held-out items are not asked for: {out.people:,} people and "
            f"{out.items:,} items came after the train part"
        )
    if catalogue and (unlisted := len(split.vocabulary) - len(catalogue)):
        notes.append(f"{unlisted:,} items have interactions and stand in no line of the catalogue")
    return Source(split, catalogue, tuple(notes))


def item_features(
    vocabulary: ItemVocabulary, catalogue: Catalogue | None, settings: TowerSettings = DEFAULT
) -> ItemFeatures:
    """What is known of each item of the vocabulary; nothing where there is no catalogue."""
    return ItemFeatures(len(vocabulary)) if catalogue is None else catalogue_features(vocabulary, catalogue, settings)


def file_named(path: Path, name: str) -> Path:
    """The file that a path names, which may be a folder with NAME.csv[.gz]; raises `BadInput` where there is none."""
    file = _beside(path, name) if path.is_dir() else path
    if file is None or not file.exists():
        raise BadInput(f"there is no {path}" if file is not None else f"{path} has no {name}.csv[.gz]")
    return file


def _beside(folder: Path, name: str) -> Path | None:
    found = [file for file in (folder / f"{name}.csv.gz", folder / f"{name}.csv") if file.exists()]
    if len(found) > 1:
        raise BadInput(f"{folder} has both {found[0].name} and {found[1].name}; which is meant? Name the file itself")
    return found[0] if found else None
