"""The lists of a server, without one: what `hearth bench social` measures is the pipeline that answers requests.

People's histories and ties lie in stores in memory, and are read as a server reads them.
"""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.social import VERTICAL, Asking, GraphChoice, Lists
from feature_store.checkpoint import CheckpointDraft
from feature_store.events import Event
from feature_store.memory import InMemoryEventStore
from feature_store.met import MetItems
from feature_store.registry import Registry
from feature_store.signing import SigningKey, TrustedKeys
from feature_store.social_graph import Tie
from feature_store.social_graph_memory import InMemorySocialGraph
from serving.assortment.stock import Stock
from serving.late_graph import opened_late
from serving.model import ServingModel, build_model
from serving.neighbours import Neighbourhood
from serving.placements.settings import GraphSource, PersonalSource, Placement
from serving.recommend import recommend
from serving.request import Neighbours, Person, RecommendationRequest
from serving.view import View
from training.split import Split

_PATIENCE = 60.0  # seconds that a store in memory may take on a busy machine


def social_lists(draft: CheckpointDraft, split: Split, ties: Sequence[Tie]) -> Lists:
    """As `benchmarks.social.Serving`."""
    model, ids = _model(draft), draft.vocabulary.item_ids
    neighbours = asyncio.run(_neighbours(split, ties))
    assortment = asyncio.run(Stock().for_model(model))[VERTICAL]

    def lists(asking: Asking, choice: GraphChoice, length: int) -> Sequence[int]:
        sources = (PersonalSource(), GraphSource(share=choice.share, weight=choice.weight))
        view = View(Placement(vertical=VERTICAL, sources=sources), model, assortment, now=0.0)
        met = MetItems(tuple(sorted(ids[row] for row in asking.known)), 0)
        request = RecommendationRequest(
            length, asking.user_id, exclude_item_ids=tuple(ids[row] for row in asking.left_out)
        )
        ranked = recommend(request, Person(met, None, neighbours[asking.user_id]), view)
        return [draft.vocabulary.row(item.item_id) for item in ranked.items]

    return lists


def _model(draft: CheckpointDraft) -> ServingModel:
    """The model of a checkpoint that is published for this alone."""
    with TemporaryDirectory() as folder:
        key = SigningKey.generate()
        registry = Registry(Path(folder) / "registry", TrustedKeys([key.public]))
        return build_model(registry.load(registry.publish(draft, key).checkpoint_id))


async def _neighbours(split: Split, ties: Sequence[Tie]) -> dict[str, Neighbours]:
    """Of each person what the graph says, and what friends met in the train part."""
    graph, events = InMemorySocialGraph(), InMemoryEventStore()
    await graph.add(ties)
    ids = split.vocabulary.item_ids
    for user_id, rows in zip(split.user_ids, split.train, strict=True):
        await events.put([Event(str(row), user_id, ids[row], "view", 1.0) for row in rows.tolist()])
    async with opened_late(lambda: nullcontext(graph)) as late:
        neighbourhood = Neighbourhood(late, events, _PATIENCE)
        return {user_id: await neighbourhood.read(user_id, GraphSource()) for user_id in split.user_ids}
