"""Events as tests of records and stores draw them: of few people, items and kinds, at few times, so that they meet."""

from hypothesis import strategies as st

from feature_store.events import Event

KINDS = ("view", "purchase", "impression", "hide", "rating")


def events_of(user_ids: st.SearchStrategy[str], event_ids: int = 12) -> st.SearchStrategy[Event]:
    return st.builds(
        Event,
        event_id=st.integers(0, event_ids - 1).map("e{}".format),
        user_id=user_ids,
        item_id=st.sampled_from(["a", "b", "c", "\0", "\U0001f702"]),
        event=st.sampled_from(KINDS),
        timestamp=st.sampled_from([0.0, 1.5, 3.0, 4.0, 5.0]) | st.floats(0, 10),
        value=st.none() | st.floats(allow_nan=False, allow_infinity=False),
        vertical=st.sampled_from([None, "e-commerce", "news"]),
    )
