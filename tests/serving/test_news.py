"""A newspaper over HTTP, by the placements of the example: what breaks, expires, was read, and nobody was shown yet."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_store.item_schemas import Article, StoredItem
from serving.placements.file import parse_placements
from tests.serving.items_file import put
from tests.serving.published import Publisher
from tests.serving.running import ROOT, Server, config_of, started
from tests.serving.stocked import content_of

NEWS = "news"
EXAMPLE = ROOT / "examples" / "placements" / "news.toml"
PLACEMENTS = parse_placements(EXAMPLE, EXAMPLE.read_bytes())
CONTENT = content_of(NEWS)
BEGUN = time.time()
HOUR = 3600.0
TOPICS, SOURCES = ("politics", "sport", "culture", "science", "local"), ("agency", "desk", "wire", "letters")


def article(item_id: str, age_hours: float, **fields: Any) -> Article:
    values = {"item_id": item_id, "vertical": NEWS, "published": BEGUN - age_hours * HOUR, **fields}
    return Article.model_validate(values)


def edition() -> dict[str, StoredItem]:
    """Two days of what the model knows, and eight articles of this morning that it does not."""
    known = [article(f"item-{n}", 14 + n / 2, topic=TOPICS[n % 5], source=SOURCES[n % 4]) for n in range(60)]
    new = [article(f"new-{n}", n, topic=TOPICS[n % 5], source=SOURCES[n % 4]) for n in range(8)]
    further = [article("expired", 20, expires=BEGUN - 1), article("embargoed", -5)]
    return {item.item_id: item for item in (*known, *new, *further)}


EDITION = edition()


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Path]]:
    folder = tmp_path_factory.mktemp("paper")
    publisher = Publisher(folder)
    model_id = publisher.publish(CONTENT)
    put(folder / "items.sqlite", [*EDITION.values()])
    config = config_of(publisher, store=folder / "store.sqlite", items=folder / "items.sqlite", placements=PLACEMENTS)
    with started(config, folder) as server:
        server.serves(model_id)
        yield server, folder


def reply(server: Server, placement: str = "front-page", **body: object) -> list[dict[str, Any]]:
    response = server.recommend(placement, **{"k": 10, **body})
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["items"]
    return found


def listed(server: Server, placement: str = "front-page", **body: object) -> list[str]:
    return [item["item_id"] for item in reply(server, placement, **body)]


def within_a_second(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 1.0
    while not condition():
        assert time.monotonic() < end, "it was still so after a second"


def tell(server: Server, *events: tuple[str, str, str]) -> None:
    """Users, items and what they did."""
    sent = [
        {"event_id": f"{user}-{item_id}-{kind}", "user_id": user, "item_id": item_id, "event": kind, "vertical": NEWS}
        for user, item_id, kind in events
    ]
    assert {one["status"] for one in server.post(*sent).json()["events"]} == {201}


def test_a_list_has_its_share_of_what_is_fresh_and_keeps_to_its_caps(paper: tuple[Server, Path]) -> None:
    for _ in range(20):
        found = reply(paper[0])
        assert len(found) == 10
        assert [item["rank"] for item in found if item["source"] == "fresh"] == [4, 7, 10]
        for field in ("topic", "source"):
            counts = Counter(getattr(EDITION[item["item_id"]], field) for item in found)
            assert max(counts.values()) <= 3


def test_fresh_articles_that_nobody_was_shown_take_turns(paper: tuple[Server, Path]) -> None:
    seen = {item["item_id"] for _ in range(60) for item in reply(paper[0]) if item["source"] == "fresh"}
    assert seen >= {f"new-{n}" for n in range(8)}


def test_what_expired_or_is_not_published_yet_is_not_shown(paper: tuple[Server, Path]) -> None:
    """However much is asked for; `read-on` has no caps."""
    assert set(listed(paper[0], "read-on", k=100)) == set(EDITION) - {"expired", "embargoed"}


def test_an_article_expires_by_the_clock_alone(paper: tuple[Server, Path]) -> None:
    server, folder = paper
    put(folder / "items.sqlite", [article("short-lived", 1, expires=time.time() + 1.2)])
    within_a_second(lambda: "short-lived" in listed(server, "read-on", k=100))
    time.sleep(1.2)
    assert "short-lived" not in listed(server, "read-on", k=100)


def test_breaking_news_stands_first_within_a_second_and_for_as_long_as_it_is(paper: tuple[Server, Path]) -> None:
    server, folder = paper
    put(folder / "items.sqlite", [article("quake", 0, labels={"breaking": ("yes",)}, topic="local")])
    within_a_second(lambda: listed(server)[0] == "quake")
    assert reply(server)[0]["source"] == "promoted"
    put(folder / "items.sqlite", [article("quake", 0, topic="local", expires=BEGUN + 1)])
    within_a_second(lambda: "quake" not in listed(server, k=100))


def test_what_was_read_is_gone_from_the_next_list_known_to_the_model_or_not(paper: tuple[Server, Path]) -> None:
    server, _ = paper
    tell(server, ("anna", "item-7", "read"), ("anna", "new-2", "click"), ("anna", "item-8", "impression"))
    found = listed(server, "read-on", user_id="anna", k=100)
    assert {"item-7", "new-2"}.isdisjoint(found)
    assert {"item-8", "new-3"} <= set(found)
    session = listed(server, "read-on", session_events=[{"item_id": "new-5"}], k=100)
    assert "new-5" not in session


def test_sport_counts_half_and_what_is_old_less(paper: tuple[Server, Path]) -> None:
    """Of somebody of whom nothing is known: by how many met each article, halved every six hours."""
    scores = {item["item_id"]: item["score"] for item in reply(paper[0], k=100) if "score" in item}
    assert len(scores) > 5
    for item_id, score in scores.items():
        if item_id.startswith("item-"):
            n = int(item_id.removeprefix("item-"))
            age = 14 + n / 2 + (time.time() - BEGUN) / HOUR
            expected = float(CONTENT.item_counts[n]) * 0.5 ** (age / 6) * (0.5 if n % 5 == 1 else 1.0)
            assert score == pytest.approx(expected, rel=1e-2)


def test_people_decide_which_fresh_article_is_shown(paper: tuple[Server, Path]) -> None:
    """All were shown forty times; one is clicked, and comes first of what is fresh from then on."""
    server, _ = paper
    for n in range(8):
        tell(server, *((f"reader-{user}", f"new-{n}", "impression") for user in range(40)))
    tell(server, *((f"reader-{user}", "new-6", "click") for user in range(25)))
    firsts = Counter(next(item["item_id"] for item in reply(server) if item["source"] == "fresh") for _ in range(30))
    assert firsts["new-6"] >= 28


def test_an_event_that_is_sent_again_is_counted_once(paper: tuple[Server, Path]) -> None:
    server, _ = paper
    put(paper[1] / "items.sqlite", [article("again", 0, topic="other"), article("other", 0, topic="other")])
    within_a_second(lambda: {"again", "other"} <= set(listed(server, "read-on", k=100)))
    tell(server, *((f"user-{n}", item_id, "impression") for n in range(10) for item_id in ("again", "other")))
    event = {"event_id": "1", "user_id": "bert", "item_id": "again", "event": "click", "vertical": NEWS}
    for n in range(200):
        assert server.post(event).json()["events"][0]["status"] == (201 if n == 0 else 200)
    filters = {"item_id": ["again", "other"]}
    firsts = Counter(listed(server, "read-on", k=1, filters=filters)[0] for _ in range(60))
    assert firsts["other"] >= 3  # two of 30 against one of 30: about one of four
