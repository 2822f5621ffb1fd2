"""What is popular without a model: what was clicked lately, then what is new."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from feature_store.events import Event
from feature_store.item_schemas import Article
from serving.assortment.assortment import Assortment
from serving.feedback import Feedback
from serving.placements.settings import Placement
from serving.recommend import asked_of, recommend
from serving.request import RecommendationRequest
from serving.sources.known import personal, popular
from serving.view import View

NOW, HALF_LIFE = 1.5e9, 3600.0
NAMES = tuple("abcdefgh")


def view_of(published: dict[str, int], clicked: list[tuple[str, int]]) -> View:
    """Articles by the hour of their age, and clicks by the same."""
    shown = Assortment(None, (), has_catalogue=True)
    shown.put([Article(item_id=name, vertical="news", published=NOW - 3600.0 * age) for name, age in published.items()])
    feedback = Feedback(HALF_LIFE)
    for at, (name, age) in sorted(enumerate(clicked), key=lambda one: -one[1][1]):
        then = NOW - 3600.0 * age
        feedback.take([Event(f"{at}", f"person-{at}", name, "click", then, None, "news")], then)
    return View(Placement(vertical="news"), None, shown, NOW, 0, feedback)


@given(
    published=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 5), min_size=1),
    clicked=st.lists(st.tuples(st.sampled_from((*NAMES, "gone")), st.integers(0, 3)), max_size=8),
    k=st.integers(1, 9),
    excluded=st.sets(st.sampled_from(NAMES)),
)
def test_without_a_model_come_the_most_clicked_then_the_newest_and_nothing_that_may_not(
    published: dict[str, int], clicked: list[tuple[str, int]], k: int, excluded: set[str]
) -> None:
    view = view_of(published, clicked)
    request = RecommendationRequest(k, exclude_item_ids=tuple(excluded))
    weights = {name: sum(0.5**age for one, age in clicked if one == name) for name in published}
    came = {name: at for at, name in enumerate(published)}
    expected = sorted(published.keys() - excluded, key=lambda name: (-weights[name], published[name], -came[name]))[:k]
    for source in (popular, personal):
        found = source(asked_of(request, None, view), k)
        assert [view.assortment.item_id(place) for place in found.places.tolist()] == expected
        np.testing.assert_allclose(found.scores, [weights[name] for name in expected], rtol=1e-5)
        assert found.source == "popular"
    ranked = recommend(request, None, view)
    assert [item.item_id for item in ranked.items] == expected
    assert (ranked.model_id, ranked.degraded) == (None, ("no-model",))
