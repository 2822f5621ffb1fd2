"""A training run: a split, features and settings, put together and ready to go."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from feature_store.arrays import Float32Array
from feature_store.blend import BlendSettings, discounts
from feature_store.checkpoint import CheckpointDraft
from feature_store.errors import BadInput
from feature_store.fold_in import FoldInSettings
from feature_store.manifest import PrivacySpent
from feature_store.row_ranges import Catalogues
from training.blend_choice import WITHOUT_VALIDATION, choose_blend
from training.client_update import ITEM_COUNTS
from training.cohort import population
from training.compression.sizes import with_words
from training.context import TrainedContext, train_context
from training.context_rows import context_rows, require_known
from training.device import AUTO, DeviceSettings, place
from training.evaluation import Quality, Scorer, evaluate, fold_in_scorer
from training.item_features import ItemFeatures
from training.item_item import Collected, collect_item_item
from training.item_tower import ItemTower
from training.loop import RoundReport, run_rounds
from training.privacy.release import Releases, plan, spent
from training.publication import checkpoint_draft
from training.recommender import RecommenderAlgorithm, make_algorithm
from training.server_state import Run, ServerState
from training.settings import TrainingSettings
from training.split import Split, digest
from training.transport import simulation

_UNUSED = {"curvature": {"fedavg", "server"}, "fedavg": {"curvature"}, "gram": {"curvature", "fedavg", "server"}}
"""Settings that the numbers of a run with that algorithm do not follow from."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRun:
    """The parts of a run; made by `prepare`."""

    split: Split
    features: ItemFeatures
    settings: TrainingSettings
    tower: ItemTower
    algorithm: RecommenderAlgorithm
    device: DeviceSettings = AUTO
    releases: Releases | None = None

    @property
    def fold_in(self) -> FoldInSettings:
        """The weights of the loss."""
        return self.settings.fold_in(self.tower.items)

    def start(self) -> ServerState:
        """The state before the first round."""
        parameters = self.tower.init(self.settings.seed)
        return ServerState(0, parameters, self.algorithm.server.init(parameters))

    def rounds(
        self, state: ServerState, *, validate: bool = True, judged: Callable[[Quality], None] = lambda _: None
    ) -> Iterator[tuple[ServerState, RoundReport]]:
        """Go on from `state` to the end of the run; see `training.loop.run_rounds`.

        judged: told the whole quality on the validation items, before the report of its round, which has NDCG alone.
            Private training measures none: what it chose would say something of people that nobody accounts for.
        """
        has_validation = validate and self.split.valid.rows.size > 0 and not self.settings.privacy

        def ndcg(state: ServerState) -> float:
            quality = self.validation(state)
            judged(quality)
            return quality.ndcg

        settings, train = self.settings, self.split.train
        everybody = population(train)
        cohort, rounds, cells = settings.cohort, settings.rounds, 1
        if settings.compression:
            cohort, cells = len(everybody), settings.compression.cells
        if settings.privacy:
            cohort, rounds = len(everybody), plan(settings.privacy, len(everybody), self.tower.items).rounds
        trained = run_rounds(
            self.algorithm,
            simulation(self.algorithm, train, everybody, cohort, settings.seed, cells),
            state,
            rounds=rounds,
            patience=settings.patience,
            evaluate=ndcg if has_validation else None,
        )
        sizes = (self.tower.items, self.tower.dim, settings.compression)
        return ((after, with_words(report, *sizes)) for after, report in trained)

    def item_vectors(self, state: ServerState) -> Float32Array:
        """Q of that state, shape (items, dim)."""
        return self.tower.item_vectors(state.parameters)

    def item_item(self, state: ServerState) -> Collected | None:
        """The item-item weights beside that state, for which each client sends once; None where none are asked for."""
        settings = self.settings.item_item
        if not settings.items:
            return None
        counts = state.statistics[ITEM_COUNTS]
        return collect_item_item(self.split.train, counts, self.settings.cohort, self.settings.seed, settings)

    def context(self, state: ServerState, catalogues: Catalogues) -> TrainedContext | None:
        """What context adds to a user embedding beside that state; None where no context is asked for.

        catalogues: vertical -> rows of its items; the vertical of a meeting is that of its item.

        Raises:
            BadInput: hours, weekdays or devices are asked for, and the split does not tell when its items were met.
        """
        settings = self.settings.context
        if not settings.features:
            return None
        train, met = self.split.train, self.split.meetings
        rows = context_rows(settings, train.rows, met.train if met else None, catalogues)
        return train_context(
            self.item_vectors(state),
            state.statistics[ITEM_COUNTS],
            train,
            rows,
            settings.values(tuple(catalogues)),
            self.fold_in,
            self.settings.cohort,
            self.settings.seed,
            settings,
        )

    def scorer(self, state: ServerState, collected: Collected | None = None) -> Scorer:
        """How that state scores the items for people whose train items are known."""
        discount = discounts(state.statistics[ITEM_COUNTS], self._blend(0.0))
        item_item = collected.item_item if collected else None
        return fold_in_scorer(self.item_vectors(state), self.split.train, self.fold_in, item_item, discount)

    def validation(self, state: ServerState, collected: Collected | None = None) -> Quality:
        """Quality on the validation items, train items left out of the ranking unless the split ranks them."""
        scorer, most = self.scorer(state, collected), self.settings.validation_users
        return evaluate(scorer, self.tower.items, self.split.valid, self.split.met_before_valid, most)

    def test(self, state: ServerState, collected: Collected | None = None) -> Quality:
        """Quality on the test items, train and validation items left out of the ranking unless the split ranks them."""
        return evaluate(self.scorer(state, collected), self.tower.items, self.split.test, self.split.met_before_test)

    def identity(self) -> Run:
        """What the numbers of the run follow from; a saved state of another identity is refused.

        The round limit and the patience are not in it: they say when to stop, not what a round does. Of the device
        only its precision is: a GPU or a compiler change the last bits, which may be wanted halfway.
        """
        settings = self.settings.model_dump(exclude={"rounds", "patience", *_UNUSED[self.settings.algorithm]})
        data = {"data": digest(self.split), "features": self.features.digest()}
        precision = {"mixed_precision": True} if self.device.mixed_precision else {}
        return {**flattened(settings), **data, **precision, "alpha": self.fold_in.alpha}

    def draft(
        self,
        state: ServerState,
        catalogues: Catalogues,
        collected: Collected | None = None,
        context: TrainedContext | None = None,
    ) -> CheckpointDraft:
        """The checkpoint of that state, with its validation figures and the blend that was best on them.

        catalogues: vertical -> rows of its items.
        collected: what `item_item` has given for the state.
        context: what `context` has given for it. The figures and the blend are those of requests without a context.
        """
        spent = self.privacy_spent()
        judges = spent is None and self.split.valid.rows.size > 0
        metrics = self.validation(state, collected).figures() if judges else {}
        secret = {"data"} if spent else set()  # a digest of people's data tells who can guess all of it but a little
        settings = {name: value for name, value in self.identity().items() if value is not None and name not in secret}
        blend = self._chosen_blend(state, collected) if judges else self._blend(WITHOUT_VALIDATION)
        return checkpoint_draft(
            state,
            self.tower,
            self.split.vocabulary,
            self.fold_in,
            blend=blend,
            item_item=collected.item_item if collected else None,
            query_tower=context.query_tower if context else None,
            catalogues=catalogues,
            metrics=metrics,
            settings=settings,
            privacy=spent,
        )

    def privacy_spent(self) -> PrivacySpent | None:
        """What was released about these people so far, by this run and by others; None without settings of privacy."""
        if self.settings.privacy is None or self.releases is None:
            return None
        planned = plan(self.settings.privacy, len(population(self.split.train)), self.tower.items)
        return spent(self.settings.privacy, planned, self.releases.ledger.entries())

    def _chosen_blend(self, state: ServerState, collected: Collected | None) -> BlendSettings:
        return choose_blend(
            self.item_vectors(state),
            state.statistics[ITEM_COUNTS],
            self._blend(0.0),
            self.fold_in,
            self.split,
            item_item=collected.item_item if collected else None,
        )

    def _blend(self, weight: float) -> BlendSettings:
        return BlendSettings(weight, len(population(self.split.train)), self.settings.popularity_discount)


def prepare(
    split: Split,
    settings: TrainingSettings,
    features: ItemFeatures | None = None,
    device: DeviceSettings = AUTO,
    releases: Releases | None = None,
) -> TrainingRun:
    """Put a run together.

    Args:
        split: the data.
        settings: see there.
        features: of the items, in the order of the vocabulary; without them the tower has the id embedding alone.
        device: where clients are computed.
        releases: for settings of privacy; see `training.privacy.release`.

    Raises:
        BadInput: nobody has items to train on, a GPU is asked for and there is none, the features are not those of
            the vocabulary's items, or the context that is asked for is not known.
    """
    require_known(settings.context, split.meetings.train if split.meetings else None)
    items = len(split.vocabulary)
    features = features or ItemFeatures.of_categories([()] * items)
    if features.items != items:
        raise BadInput(
            f"there are features of {features.items} items and a vocabulary of {items}; they must be the same"
        )
    tower = ItemTower(features, settings.dim, settings.tower.text_width)
    algorithm = make_algorithm(tower, len(population(split.train)), settings, place(device), releases)
    return TrainingRun(split, features, settings, tower, algorithm, device, releases)


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings on one level, as `curvature.momentum`; lists as JSON."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = json.dumps(value) if isinstance(value, tuple) else value
    return flat
