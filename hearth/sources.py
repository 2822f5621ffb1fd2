"""From a path on the command line to a split and the features of its items."""

from dataclasses import dataclass
from pathlib import Path

from feature_store.catalogue import Catalogue, read_catalogue
from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.interactions import read_interactions
from training.item_features import ItemFeatures
from training.split import Split, split_by_time
from training.split_folder import read_split_folder


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A split, its items' catalogue where there is one, and what was left out on the way, in words."""

    split: Split
    catalogue: Catalogue | None
    notes: tuple[str, ...] = ()

    def features(self) -> ItemFeatures:
        """What the item tower is told of the items, in the order of the vocabulary."""
        return item_features(self.split.vocabulary, self.catalogue)


def read_source(
    path: Path, items: Path | None = None, *, valid: float = 0.1, test: float = 0.2, min_value: float | None = None
) -> Source:
    """Read what a path names: a split folder, a folder with interactions.csv, or a file of interactions.

    Args:
        path: a folder with train.txt[.gz] and test.txt[.gz] is taken as it is split; interactions are split by time.
        items: a catalogue; beside interactions.csv, items.csv is found by itself.
        valid: share of each person's items that validates, where interactions are split.
        test: share that tests.
        min_value: leave out interactions below it.

    Raises:
        BadInput: the path names nothing that can be read, or a split folder where values are asked for.
    """
    if path.is_dir() and any((path / name).exists() for name in ("train.txt", "train.txt.gz")):
        if min_value is not None:
            raise BadInput(
                f"{path} is split already and has no values; a least value of {min_value} says nothing of it"
            )
        catalogue = read_catalogue(items) if items else None
        return Source(read_split_folder(path), catalogue)
    if path.is_dir():
        file = _beside(path, "interactions")
        if file is None:
            raise BadInput(f"{path} has neither train.txt[.gz] nor interactions.csv[.gz]")
        items = items or _beside(path, "items")
        path = file
    catalogue = read_catalogue(items) if items else None
    vocabulary = catalogue.vocabulary if catalogue else None
    interactions = read_interactions(path, vocabulary=vocabulary, min_value=min_value)
    split = split_by_time(interactions, valid=valid, test=test)
    notes = []
    if interactions.left_out.lines:
        notes.append(f"{interactions.left_out.lines:,} interactions below the value {min_value} left out")
    if split.repeats:
        notes.append(f"{split.repeats:,} repeated interactions counted once")
    if catalogue and (unlisted := len(split.vocabulary) - len(catalogue)):
        notes.append(f"{unlisted:,} items have interactions and stand in no line of the catalogue")
    return Source(split, catalogue, tuple(notes))


def item_features(vocabulary: ItemVocabulary, catalogue: Catalogue | None) -> ItemFeatures:
    """The categories of each item of the vocabulary; none for an item that the catalogue does not list."""
    if catalogue is None:
        return ItemFeatures.of_categories([()] * len(vocabulary))
    return ItemFeatures.of_categories(
        [catalogue[item_id].categories if item_id in catalogue else () for item_id in vocabulary.item_ids]
    )


def _beside(folder: Path, name: str) -> Path | None:
    found = [file for file in (folder / f"{name}.csv.gz", folder / f"{name}.csv") if file.exists()]
    if len(found) > 1:
        raise BadInput(f"{folder} has both {found[0].name} and {found[1].name}; which is meant? Name the file itself")
    return found[0] if found else None
