"""Publication: from the server state to the draft of a checkpoint."""

from collections.abc import Mapping

from feature_store.blend import BlendSettings
from feature_store.checkpoint import CheckpointDraft
from feature_store.fold_in import FoldInSettings
from feature_store.item_item import ItemItem
from feature_store.manifest import PrivacySpent
from feature_store.query_tower import QueryTower
from feature_store.row_ranges import Catalogues
from feature_store.vocabulary import ItemVocabulary
from training.client_update import ITEM_COUNTS
from training.item_tower import ItemTower
from training.server_state import ServerState


def checkpoint_draft(
    state: ServerState,
    tower: ItemTower,
    vocabulary: ItemVocabulary,
    fold_in: FoldInSettings,
    *,
    blend: BlendSettings,
    item_item: ItemItem | None,
    query_tower: QueryTower | None,
    catalogues: Catalogues,
    metrics: Mapping[str, float],
    settings: Mapping[str, str | int | float | bool],
    privacy: PrivacySpent | None = None,
) -> CheckpointDraft:
    """What serving and devices need of a training run; the tower itself stays on the server.

    The counts of people an item come from the aggregated sums, estimated for the whole population; the server
    knows no more of anybody than that.

    privacy: what was released about people so far, where training was private.
    """
    return CheckpointDraft(
        vocabulary=vocabulary,
        item_vectors=tower.item_vectors(state.parameters),
        item_counts=state.statistics[ITEM_COUNTS],
        fold_in=fold_in,
        round_number=state.round_number,
        blend=blend,
        item_item=item_item,
        query_tower=query_tower,
        catalogues=catalogues,
        metrics=metrics,
        training=settings,
        privacy=privacy,
    )
