"""A federated run: a vocabulary, features and settings at the centre, and nobody's data."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from feature_store.arrays import Float32Array
from feature_store.blend import BlendSettings, discounts
from feature_store.checkpoint import Checkpoint, CheckpointDraft
from feature_store.errors import BadInput
from feature_store.row_ranges import Catalogues
from feature_store.vocabulary import ItemVocabulary
from training.blend_choice import WITHOUT_VALIDATION
from training.client_update import ITEM_COUNTS
from training.compression.sizes import with_words
from training.evaluation import Quality
from training.federation.flower_transport import FlowerTransport
from training.federation.private_transport import PrivateTransport
from training.federation.secure_adding import Securely
from training.federation.tasks import LossSettings
from training.item_features import ItemFeatures
from training.item_tower import ItemTower
from training.loop import RoundReport, run_rounds
from training.publication import checkpoint_draft
from training.recommender import RecommenderAlgorithm, make_algorithm
from training.run import flattened
from training.server_settings import AggregationSettings
from training.server_state import Run, ServerState
from training.settings import TrainingSettings
from training.tower_network import ID_EMBEDDING

EVENTS_UNTIL = "events_until"
SECURE_SUMS = "secure_sums"
"""In a manifest: whether the centre saw no cell's sums but their total alone."""
"""What the manifest's settings of training call `FederatedRun.events_until`."""


@dataclass(frozen=True, slots=True, eq=False)
class FederatedRun:
    """The parts of a run over cells; made by `prepare_federated`.

    validates: whether each round is followed by an evaluation on what the cells hold out.
    production: what is in production, where anything is; its rows keep their numbers.
    warm: whether the first round begins with the item vectors of production, and not with those of a new model.
    events_until: when the cells read their people's events, in seconds since 1970; nothing later is trained on.
    private: carries the rounds of a private training; None for others.
    """

    vocabulary: ItemVocabulary
    features: ItemFeatures
    settings: TrainingSettings
    tower: ItemTower
    algorithm: RecommenderAlgorithm
    transport: FlowerTransport
    validates: bool = False
    production: Checkpoint | None = None
    warm: bool = False
    events_until: float = 0.0
    private: PrivateTransport | None = None

    def start(self) -> ServerState:
        """The state before the first round, on the rows of the vocabulary.

        A warm start has the vectors of production as id embeddings; what the server remembers of rounds is that of a
        new model either way.
        """
        parameters = dict(self.tower.init(self.settings.seed))
        if self.warm and self.production is not None:
            vectors = np.array(parameters[ID_EMBEDDING])
            vectors[: len(self.production.item_vectors)] = self.production.item_vectors
            parameters[ID_EMBEDDING] = vectors
        return ServerState(0, parameters, self.algorithm.server.init(parameters))

    def rounds(
        self, state: ServerState, *, judged: Callable[[Quality], None] = lambda _: None
    ) -> Iterator[tuple[ServerState, RoundReport]]:
        """Go on from `state` to the end of the run; see `training.loop.run_rounds`."""

        def ndcg(state: ServerState) -> float:
            quality = self.validation(state)
            judged(quality)
            return quality.ndcg

        has_validation = self.validates and self.transport.taken_up.judged > 0
        trained = run_rounds(
            self.algorithm,
            self.private or self.transport,
            state,
            rounds=self.private.planned.rounds if self.private else self.settings.rounds,
            patience=self.settings.patience,
            evaluate=ndcg if has_validation else None,
        )
        sizes = (self.tower.items, self.tower.dim, self.settings.compression)
        return ((after, with_words(report, *sizes)) for after, report in trained)

    def item_vectors(self, state: ServerState) -> Float32Array:
        """Q of that state, shape (items, dim)."""
        return self.tower.item_vectors(state.parameters)

    def validation(self, state: ServerState) -> Quality:
        """Quality on what the cells hold out, their people's other items left out of the ranking."""
        discount = discounts(state.statistics[ITEM_COUNTS], self.blend)
        most = self.settings.validation_users
        return self.transport.evaluate(self.item_vectors(state), discount, most, state.round_number)

    def identity(self) -> Run:
        """What the numbers of the run follow from, as far as the centre knows it: the people's data it does not."""
        settings = self.settings.model_dump(exclude={"rounds", "patience", "fedavg", "server"})
        ids = hashlib.sha256(json.dumps(self.vocabulary.item_ids).encode()).hexdigest()
        data: dict[str, str | bool] = {"vocabulary": ids, "features": self.features.digest(), "federated": True}
        if self.warm and self.production is not None:
            data["starts_from"] = self.production.manifest.checkpoint_id
        return {**flattened(settings), **data, "alpha": self.transport.loss.alpha}

    def draft(self, state: ServerState, catalogues: Catalogues, quality: Quality | None = None) -> CheckpointDraft:
        """The checkpoint of that state, with its figures on what the cells hold out, where they hold out anything.

        The blend is that of the checkpoint in production, chosen on data; without one, the default.

        quality: those figures, where the state was judged already.
        """
        if quality is None and self.transport.taken_up.judged:
            quality = self.validation(state)
        return checkpoint_draft(
            state,
            self.tower,
            self.vocabulary,
            self.transport.loss.fold_in,
            blend=self.blend,
            item_item=None,
            query_tower=None,
            catalogues=catalogues,
            metrics=quality.figures() if quality else {},
            settings={name: value for name, value in self.identity().items() if value is not None}
            | {EVENTS_UNTIL: self.events_until, SECURE_SUMS: isinstance(self.transport.adding, Securely)},
            privacy=self.private.spent() if self.private else None,
        )

    @property
    def blend(self) -> BlendSettings:
        """How popularity enters: as in production, else by the default."""
        weight = WITHOUT_VALIDATION if self.production is None else self.production.manifest.blend.weight
        return BlendSettings(weight, self.transport.taken_up.clients, self.settings.popularity_discount)


def prepare_federated(
    vocabulary: ItemVocabulary,
    features: ItemFeatures,
    settings: TrainingSettings,
    transport: FlowerTransport,
    *,
    validates: bool = False,
    production: Checkpoint | None = None,
    warm: bool = False,
    events_until: float = 0.0,
    private: PrivateTransport | None = None,
) -> FederatedRun:
    """Put a run together.

    Args:
        vocabulary: see `grown_vocabulary`.
        features: of the items, in the order of the vocabulary.
        settings: see `require_federated`.
        transport: to the cells that have taken up the run.
        validates: see `FederatedRun`.
        production: see `FederatedRun`.
        warm: see `FederatedRun`. Where production has vectors of another length, or the tower has a content part, the
            start is that of a new model.
        events_until: see `FederatedRun`.
        private: for settings of privacy; see `FederatedRun`.
    """
    require_federated(settings)
    if settings.compression is not None and (cells := len(transport.taken_up.cells)) > settings.compression.cells:
        raise BadInput(
            f"words of compressed sums have room for {settings.compression.cells} cells, and {cells} take part: set "
            f"cells of compression to that or more"
        )
    tower = ItemTower(features, settings.dim, settings.tower.text_width)
    # A content part is fitted to the items met so far, of which a first round has few: the others would be placed anew.
    warm = warm and production is not None and production.manifest.dim == settings.dim and not tower.has_content
    algorithm = make_algorithm(
        tower, transport.cohorts.population, settings, releases=private.releases if private else None
    )
    return FederatedRun(
        vocabulary,
        features,
        settings,
        tower,
        algorithm,
        transport,
        validates=validates,
        production=production,
        warm=warm,
        events_until=events_until,
        private=private,
    )


def require_federated(settings: TrainingSettings) -> None:
    """Raise `BadInput` for settings that cells do not follow yet."""
    if settings.algorithm not in {"curvature", "gram"}:
        raise BadInput(f"cells compute the sums of algorithms curvature and gram; got {settings.algorithm}")
    for name, asked in (("item_item", settings.item_item.items), ("context", settings.context.features)):
        if asked:
            raise BadInput(f"{name} takes sums that cells do not send yet; train without it, or in one place")
    if settings.aggregation != AggregationSettings():
        raise BadInput("cells send plain sums; settings of aggregation are for training in one place")
    if settings.compression is not None and settings.compression.table != "int8":
        raise BadInput("item vectors of compressed rounds travel between processes as int8, not as float32")


def loss_settings(settings: TrainingSettings, items: int) -> LossSettings:
    """What cells are told of the settings, over that many items."""
    fold_in = settings.fold_in(items)
    return LossSettings(
        alpha=fold_in.alpha,
        regularization=fold_in.regularization,
        activity_exponent=settings.curvature.activity_exponent,
        row_bound=settings.curvature.row_bound,
    )


def trained_until(checkpoint: Checkpoint) -> float:
    """No event after that time, in seconds since 1970, had a part in the checkpoint.

    Where its training did not say when it read the events, it is the time of publication, which is later.
    """
    told = checkpoint.manifest.training.get(EVENTS_UNTIL)
    return float(told) if isinstance(told, int | float) and told else checkpoint.manifest.created.timestamp()


def grown_vocabulary(production: Checkpoint | None, item_ids: Iterable[str]) -> ItemVocabulary:
    """The rows of the checkpoint in production as they are, and behind them those of items that it has not.

    Raises:
        BadInput: there is no item.
    """
    before = ItemVocabulary(()) if production is None else production.vocabulary
    vocabulary = before.extended(item_ids)
    if not len(vocabulary):
        raise BadInput("there are no items: neither a catalogue names any, nor is a checkpoint in production")
    return vocabulary


def grown_catalogues(production: Checkpoint | None, vertical: str, items: int) -> Catalogues:
    """The catalogues of the checkpoint in production, the rows behind theirs in that vertical's."""
    before = dict(production.manifest.catalogues) if production else {}
    first = len(production.vocabulary) if production else 0
    if first < items:
        before[vertical] = (*before.get(vertical, ()), (first, items))
    return before
