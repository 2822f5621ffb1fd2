"""From a catalogue to the features of the items of a vocabulary."""

from collections.abc import Sequence

import numpy as np

from feature_store.catalogue import Catalogue, Item
from feature_store.errors import BadInput
from feature_store.vocabulary import ItemVocabulary
from training.item_features import ItemFeatures, NamedColumn
from training.numeric_features import bucket_names, standardised
from training.text_encoder import encoded, load_encoder
from training.tower_settings import TowerSettings

Cells = Sequence[tuple[str, ...]]

LEAST = 2  # items that share a name: what one item alone has says nothing of another


def catalogue_features(vocabulary: ItemVocabulary, catalogue: Catalogue, settings: TowerSettings) -> ItemFeatures:
    """What the catalogue tells of each item of the vocabulary; nothing of an item that it does not list.

    Raises:
        BadInput: a cross names a column of names that the catalogue does not have; or as `load_encoder`.
    """
    items = [catalogue[i] if i in catalogue else Item(i) for i in vocabulary.item_ids]
    cells: dict[str, Cells] = {"category": [item.categories for item in items]}
    for column in dict.fromkeys(name for item in items for name in item.labels):
        cells[column] = [item.labels.get(column, ()) for item in items]
    named = {column: NamedColumn.of(names, LEAST) for column, names in cells.items()}
    for one, other in settings.crosses:
        named[f"{one} * {other}"] = NamedColumn.of(_crossed(cells, one, other), LEAST)
    numeric = []
    for column in dict.fromkeys(name for item in items for name in item.numbers):
        values = np.array([item.numbers.get(column, np.nan) for item in items], np.float64)
        numeric.append(standardised(values))
        named[f"{column} (range)"] = NamedColumn.of(bucket_names(values, settings.buckets), LEAST)
    return ItemFeatures(
        len(items),
        {column: values for column, values in named.items() if values.names},
        np.stack(numeric, axis=1) if numeric else np.zeros((len(items), 0), np.float32),
        encoded([item.title for item in items], load_encoder(settings.text_encoder))
        if settings.text_encoder and any(item.title.strip() for item in items)
        else np.zeros((len(items), 0), np.float32),
    )


def _crossed(cells: dict[str, Cells], one: str, other: str) -> list[tuple[str, ...]]:
    """Each combination of a name of the one column and a name of the other, of the same item."""
    for column in (one, other):
        if column not in cells:
            raise BadInput(
                f"a cross of {one!r} and {other!r} needs two columns of names; those of this catalogue are: "
                f"{', '.join(cells)}"
            )
    return [
        tuple(f"{a} * {b}" for a in first for b in second)
        for first, second in zip(cells[one], cells[other], strict=True)
    ]
