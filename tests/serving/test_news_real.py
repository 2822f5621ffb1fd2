"""A newspaper's real clicks: the day after a model was trained, in the order in which people clicked."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from feature_store.events import Event
from feature_store.item_schemas import Article, StoredItem
from serving.assortment.assortment import Assortment
from serving.feedback import Feedback
from serving.placements.settings import Placement
from serving.recommend import recommend
from serving.request import RecommendationRequest
from serving.view import View
from tests.serving.stocked import ids, person
from tests.serving.trained import needs_data, rows_of, trained_before

DAY, HOUR = 86_400.0, 3600.0
CUT = 1506816000 + 9 * DAY
EVERY, K = 300, 20  # the list is made for every so manieth click
PERSONAL = {"sources": [{"kind": "personal"}], "half_life_hours": 6.0}
FRESH = {
    "sources": [{"kind": "personal"}, {"kind": "fresh", "share": 0.3, "max_age_hours": 12.0}],
    "half_life_hours": 6.0,
}


def articles() -> list[StoredItem]:
    """An article without a time was published when it was first clicked: later than that it cannot have been."""
    return [
        Article(
            item_id=row["item_id"],
            vertical="news",
            published=min(float(row["created"] or row["first_click"]), float(row["first_click"])),
            topic=row["category"] or None,
        )
        for row in rows_of("globo_news", "items.csv.gz")
    ]


@pytest.mark.slow
@needs_data
def test_fresh_articles_are_reached_and_found_the_day_after_training(tmp_path: Path) -> None:
    model = trained_before(CUT, "globo_news", "news", tmp_path).model
    shelf = model.shelf("news")
    assert shelf is not None
    vocabulary = model.checkpoint.vocabulary
    shown = Assortment(shelf, [vocabulary.item_ids[row] for row in shelf.rows.tolist()], has_catalogue=True)
    catalogue = articles()
    shown.put(catalogue)
    published = {item.item_id: item.published for item in catalogue if isinstance(item, Article)}

    met: dict[str, list[str]] = defaultdict(list)
    day = []
    for row in rows_of("globo_news", "interactions.csv.gz"):
        if float(row["timestamp"]) < CUT:
            met[row["user_id"]].append(row["item_id"])
        elif float(row["timestamp"]) < CUT + DAY:
            day.append((float(row["timestamp"]), row["user_id"], row["item_id"]))
    day.sort()
    known = [item_id in vocabulary for _, _, item_id in day]
    reached = [item_id in vocabulary or now - published[item_id] < 12 * HOUR for now, _, item_id in day]
    assert np.mean(known) < 0.7
    assert np.mean(reached) > 0.95

    feedback, found = Feedback(half_life_seconds=4 * HOUR), defaultdict[str, list[bool]](list)
    for n, (now, user, clicked) in enumerate(day):
        if n % EVERY == 0 and clicked not in met[user]:
            for name, settings in (("personal", PERSONAL), ("fresh", FRESH)):
                view = View(Placement.model_validate({"vertical": "news", **settings}), model, shown, now, n, feedback)
                ranked = recommend(RecommendationRequest(K, user_id=user), person(*set(met[user])), view)
                assert len(ranked.items) == K
                assert not set(met[user]) & set(ids(ranked))
                assert all(published[item_id] <= now for item_id in ids(ranked))
                found[name].append(clicked in ids(ranked))
            late = [item for item in ranked.items if now - published[item.item_id] < 12 * HOUR]
            assert len(late) >= 6
        met[user].append(clicked)
        feedback.take([Event(str(n), user, clicked, "click", now, vertical="news")], now)
    assert np.mean(found["fresh"]) > 2 * np.mean(found["personal"]) > 0
