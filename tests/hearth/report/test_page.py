"""The page, read as a browser reads it: its figures are those of the run, and nothing in it comes from elsewhere."""

import json
import re
from typing import Any

import pytest

from hearth.report.comparison import different
from hearth.report.page import page
from hearth.report.record import Parent
from tests.hearth.report.records import Page, a_run, manifest_of, rounds

ROUNDS = "Each round; quality is of the validation items"
FIGURES = "Figures; quality is of the validation items"


def parent_of(**changes: Any) -> Parent:
    earlier = a_run("r0001-aaaa", **changes)
    return Parent(manifest_of(earlier), earlier)


@pytest.fixture(scope="module")
def content() -> bytes:
    """The page of a run with a parent on the same data."""
    return page(a_run(), parent_of())


def test_the_rounds_stand_in_a_table_with_the_published_one_marked() -> None:
    shown = Page(page(a_run(), None)).tables[ROUNDS]
    assert shown[0][:4] == ["round", "cohort", "loss", "NDCG@20"]
    assert [row[:6] for row in shown[1:]] == [
        ["1", "20", "8.0000", "0.1250", "0.0625", "0.250"],
        ["2 (published)", "20", "4.0000", "0.3750", "0.1875", "0.500"],
        ["3", "20", "2.6667", "0.2500", "0.1250", "0.750"],
    ]
    assert [row[6:] for row in shown[1:]] == [
        ["80", "4 KB", "2026-02-03 04:00:01"],
        ["40", "4 KB", "2026-02-03 04:00:02"],
        ["27", "4 KB", "2026-02-03 04:00:03"],
    ]


def test_the_curves_say_in_words_what_they_show() -> None:
    shown = Page(page(a_run(), parent_of(rounds=rounds([0.25, 0.5]))))
    told = dict(zip(shown.texts("title")[1:], shown.texts("desc"), strict=True))  # the first title is the page's
    own = "this run: from 0.125 in round 1 to 0.25 in round 3, least 0.125, most 0.375"
    parent = "parent r0001-aaaa: from 0.25 in round 1 to 0.5 in round 2, least 0.25, most 0.5"
    assert told["NDCG@20, validation"] == f"NDCG@20. {own}; {parent}."
    assert "from 0.0625 in round 1 to 0.125 in round 3" in told["Recall@20, validation"]
    assert "this run: from 8 in round 1 to 2.667 in round 3" in told["Loss of the clients, before each step"]
    assert (
        "KB, all rounds so far. this run: from 4 in round 1 to 12"
        in told["Sent by a client that takes part in every round"]
    )
    assert "KB, all rounds so far. this run: from 80 in round 1 to 240" in told["Sent by all clients together"]
    assert "this run: from 0.25 in round 1 to 1.5 in round 3" in told["Seconds of training, evaluation apart"]
    assert told["How much people have done"] == ("people by train items of a person: 1: 1; 2–3: 2; 4–7: 4; 8–15: 1.")
    assert "0: 32; 1: 1; 2–3: 2" in told["How well known items are"]


def test_each_figure_is_named_for_those_who_cannot_see_it(content: bytes) -> None:
    shown = Page(content)
    ids = [attributes["id"] for _, attributes in shown.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawings = [attributes for tag, attributes in shown.elements if tag == "svg"]
    assert len(drawings) == 8
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert set(attributes["aria-labelledby"].split()) <= set(ids)
    used = [attributes["href"] for tag, attributes in shown.elements if tag == "use"]
    assert used
    assert {reference.removeprefix("#") for reference in used} <= set(ids)


def test_people_and_items_are_shown_group_by_group() -> None:
    """The scorer ranks items by number: the quiet half of the people wants one of the first 20, the others do not."""
    record = a_run()
    shown = Page(page(record, None))
    people = shown.tables["By activity of people, on the validation items"]
    assert people[0] == ["train items of a person", "people", "NDCG@20", "recall@20", "HR@10"]
    assert [row[:2] + row[3:] for row in people[1:]] == [
        ["1–2", "2", "1.0000", "1.0000"],
        ["3–4", "2", "1.0000", "1.0000"],
        ["5–6", "2", "0.0000", "0.0000"],
        ["7–8", "2", "0.0000", "0.0000"],
    ]
    items = shown.tables["By popularity of items, on the validation items"]
    assert items[1][:4] == ["0", "32", "8", "0.5000"]
    assert "Least well served are people with 5–6 train items: NDCG@20 0.000, beside" in shown.text
    assert "The test" not in shown.text.replace("the test items judge", "")


def test_groups_stand_beside_the_parents_only_where_the_data_are_the_same(content: bytes) -> None:
    same = Page(content)
    assert same.tables["By activity of people, on the validation items"][1][-1] == "±0.0 %"
    other = Page(page(a_run(), parent_of(facts={"data": "ffff"})))
    assert len(other.tables["By activity of people, on the validation items"][0]) == 5
    assert "The parent was trained on other data" in other.text
    assert "The parent was trained on other data" not in same.text


def test_the_parent_stands_side_by_side() -> None:
    earlier = parent_of(
        metrics={"recall@20": 0.25, "ndcg@20": 0.3, "users": 9},
        rounds=rounds([0.1, 0.3]),
        rounds_done=2,
        facts={"dim": 16, "alpha": 1.0, "data": "0123456789ab", "rounds": 2, "momentum": 0.5},
    )
    shown = Page(page(a_run(), earlier))
    assert shown.tables[FIGURES] == [
        ["", "this run", "parent r0001-aaaa", "change"],
        ["recall@20", "0.1875", "0.2500", "−25.0 %"],
        ["NDCG@20", "0.3750", "0.3000", "+25.0 %"],
        ["round published", "2", "2", ""],
        ["rounds done", "3", "2", ""],
        ["seconds of training", "1.5", "0.8", "+100.0 %"],
        ["sent by a client, all rounds", "12 KB", "8 KB", "+50.0 %"],
    ]
    assert shown.tables["What differs"][1:] == [
        ["dim", "8", "16"],
        ["momentum", "-", "0.5"],
        ["rounds", "3", "2"],
        ["seed", "7", "-"],
    ]


def test_of_a_parent_without_a_record_the_checkpoint_alone_is_compared() -> None:
    record = a_run()
    earlier = Parent(manifest_of(a_run("r0001-aaaa", facts=dict(record.facts) | {"dim": 4})), None, "it is lost")
    assert different(record, earlier) == {"dim": (8, 4)}
    shown = Page(page(record, earlier))
    assert "Curves of the parent are missing: it is lost." in shown.text
    assert "rounds done" not in [row[0] for row in shown.tables[FIGURES]]


def test_the_first_run_of_a_registry_has_nothing_beside_it() -> None:
    shown = Page(page(a_run(), None))
    assert "This is the first checkpoint of the registry for its verticals." in shown.text
    assert FIGURES not in shown.tables


def test_without_validation_nothing_is_said_of_quality() -> None:
    record = a_run(rounds=rounds([None, None, None]), metrics={}, groups=None)
    shown = Page(page(record, None))
    assert "There are no validation items to judge by." in shown.text
    assert [row[3] for row in shown.tables[ROUNDS][1:]] == ["-", "-", "-"]
    assert "NDCG@20, validation" not in shown.texts("title")


def test_what_clients_sent_after_the_rounds_is_shown_apart_from_the_rounds() -> None:
    shown, plain = (Page(page(a_run(uplink_bytes_once=once), None)) for once in (501_012, 0))
    assert "501 KB" in shown.text
    assert "sent by each client, once" in shown.text
    assert "Charts and table are of the two towers alone" in shown.text
    assert "once" not in plain.text


def test_rounds_that_are_not_on_record_are_said_to_be_missing() -> None:
    shown = Page(page(a_run(rounds=rounds([0.1, 0.2, 0.3])[2:]), None))
    assert "2 of the rounds (1 to 2) are not on record" in shown.text
    none = Page(page(a_run(rounds=()), None))
    assert "No round is on record." in none.text


@pytest.mark.parametrize(
    "evil", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</pre></style><b>&amp;"]
)
def test_what_comes_from_data_is_text_and_never_markup(content: bytes, evil: str) -> None:
    here = {"facts": {"data": evil, evil: evil}, "machine": {evil: evil}, "catalogues": {evil: 40}}
    record = a_run(**here, training_settings={"algorithm": evil}, metrics={evil: 0.5, "ndcg@20": 0.1})
    earlier = a_run("r0001-aaaa", facts={"data": "x", evil: "y"})
    parent = Parent(manifest_of(earlier, metrics={evil: 0.5}), earlier, evil)
    plain, shown = Page(content), Page(page(record, parent))
    assert {tag for tag, _ in shown.elements} == {tag for tag, _ in plain.elements}
    assert {name for _, attributes in shown.elements for name in attributes} == {
        name for _, attributes in plain.elements for name in attributes
    }
    assert shown.text.count(evil) >= 7
    assert json.dumps(evil, ensure_ascii=False) in shown.text


def test_the_page_needs_nothing_from_elsewhere_and_the_browser_holds_it_to_that(content: bytes) -> None:
    shown = Page(content)
    assert content.startswith(b'<!doctype html>\n<html lang="en">')
    (policy,) = [a["content"] for _, a in shown.elements if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in shown.elements)
    assert all(a[name].startswith("#") for _, a in shown.elements for name in ("href", "src") if name in a)
    assert re.findall(rb"url\((?!#)|@import|https?://", content) == []


def test_colours_are_the_pages_own_so_that_they_follow_light_and_dark(content: bytes) -> None:
    written = content.decode()
    drawings = "".join(re.findall("<svg.*?</svg>", written, re.DOTALL))
    assert set(re.findall(r"#[0-9a-f]{6}\b", drawings)) == set()
    used = set(re.findall(r"var\((--[a-z]+)\)", written))
    assert {"--own", "--parent", "--grid", "--muted"} <= used
    light, dark = written.split("prefers-color-scheme: dark", 1)
    assert all(f"{name}:" in light and f"{name}:" in dark for name in used - {"--share"})


def test_the_same_run_gives_the_same_page(content: bytes) -> None:
    assert page(a_run(), parent_of()) == content
