"""The loop closed on one machine: serve, events over HTTP, a scheduled retraining over three cells, promotion, swap.

And what crossed between cells and centre on the way, all of it, is looked through for what is somebody's.
"""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from tests.hearth.closed_loop import ACTED, CANARIES, FRESH, WHO, Loop, closed_loop, fresh_of
from tests.hearth.command import Command
from tests.hearth.loop_giveaways import crossed, embeddings, outside, persons_sums, sums_of
from tests.hearth.watched_federation import CELLS
from tests.training.federation.giveaways import Giveaways
from training.federation.given_updates import digest_of
from training.federation.secure_adding import STAGES
from training.secure_aggregation.client_messages import MaskedInput

pytestmark = pytest.mark.slow  # processes of Flower and TensorFlow, for minutes

PLANTED = "planted"
LOW, HIGH = 150.0, 385.0  # of χ² with 255 degrees of freedom, but for one case in a million


@pytest.fixture(scope="module")
def loop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loop]:
    with closed_loop(Command(tmp_path_factory.mktemp("home"))) as made:
        yield made


def test_what_people_did_is_in_the_lists_after_the_scheduled_retraining_without_a_restart(loop: Loop) -> None:
    before, at_once, after = loop.lists
    first, second = loop.first, loop.second["candidate"]
    assert (loop.second["decision"], loop.second["production"]) == ("promoted", first)
    assert (loop.second["judged_by"], loop.second["cells"]) == ("newer than production", list(CELLS))
    assert loop.second["secure_sums"]
    assert loop.second["new_items"] == 6 * len(ACTED)
    assert loop.watched.production() == second
    assert {model for model, _ in [*before.values(), *at_once.values()]} == {first}
    assert {model for model, _ in after.values()} == {second}
    assert not any(item in FRESH for lists in (before, at_once) for _, items in lists.values() for item in items)
    found = 0
    for person in ACTED:
        _, items = after[WHO[person]]
        new = [item for item in items if item in FRESH]
        assert new, (person, items)
        assert not set(new) & set(fresh_of(person))
        found += len(new)
    assert found >= 2 * len(ACTED)  # of the four that are left to each of them
    assert all(after[who][1] != before[who][1] for who in (WHO[person] for person in ACTED))
    assert loop.pids[0] == loop.pids[1]
    assert set(loop.asked) == {first, second}  # nobody who asked while it was swapped was turned away
    assert loop.asked == sorted(loop.asked, key=[first, second].index)


def test_no_id_of_anybody_crosses_between_cells_and_centre_nor_lies_there(loop: Loop) -> None:
    seen = crossed(loop)
    assert any(b"fresh-3" in content for content in seen)  # what is the catalogue's crosses, and would be found
    assert any(b"fresh-3" in page for page in loop.pages)
    assert CANARIES.found_in(b"\0".join([*seen, WHO[10].encode()])) == {"person", "person 10"}
    assert CANARIES.found_in(b"\0".join(outside(loop))) == set()
    assert CANARIES.found_in(b"".join(loop.pages)) == set()


def test_nobodys_embedding_crosses_between_cells_and_centre_nor_lies_there(loop: Loop) -> None:
    giveaways = Giveaways()
    for name, vector in embeddings(loop):
        giveaways.add(name, vector)
    assert giveaways.found_in([b"x" + vector[3:11].tobytes()]) == {name}
    assert found_anywhere(loop, giveaways) == {PLANTED}


def test_no_persons_and_no_cells_sum_crosses_but_under_masks_that_look_like_chance(loop: Loop) -> None:
    passed = loop.watched.proxies.passed
    giveaways, plain_words = Giveaways(), list[bytes]()
    for name in CELLS:
        given = json.loads((loop.watched.layout.cell(name).trainer_folder / "given-updates.json").read_bytes())
        for number, (sums, words) in enumerate(sums_of(loop, name, passed)):
            assert given[digest_of(sums)] == list(CELLS)  # what the cell did give, and to one sum alone
            giveaways.add(f"words of {name}", words)
            plain_words.append(words.tobytes())
            for what, array in sums.arrays.items():
                giveaways.add(f"{what} {number} of {name}", array)
    for name, array in persons_sums(loop, passed):
        giveaways.add(name, array)
    assert giveaways.found_in([plain_words[0]]) == {"words of cell-1"}
    assert found_anywhere(loop, giveaways) == {PLANTED}
    masked = [
        MaskedInput.from_bytes(message).words for one in passed if one.stage == STAGES[2] for message in one.answered
    ]
    large = [words for words in masked if len(words) > 10 * 256]
    assert len(large) >= 3 * 2  # three cells, two rounds
    assert all(LOW < chi_square(words) < HIGH for words in [*large, b"".join(masked)])
    assert min(map(chi_square, plain_words)) > 10 * HIGH


def found_anywhere(loop: Loop, giveaways: Giveaways) -> set[str]:
    """What of these crossed, or lies outside the cells; and what is planted among that, so that it has to be found."""
    planted = np.random.default_rng(29).standard_normal(16).astype(np.float32)
    giveaways.add(PLANTED, planted)
    return giveaways.found_in([*crossed(loop), *loop.pages, b"odd" + planted[5:13].tobytes(), *outside(loop)])


def chi_square(content: bytes) -> float:
    """χ² of how often each of 256 bytes is there, against all being as likely."""
    counts = np.bincount(np.frombuffer(content, np.uint8), minlength=256)
    expected = len(content) / 256
    return float(((counts - expected) ** 2 / expected).sum())
