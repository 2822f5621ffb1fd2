"""What a server sees of one client: bytes that nothing tells from random ones, and never the same twice."""

from collections.abc import Mapping

import numpy as np
import pytest

from tests.training.secure_aggregation.rounds import Talk, Values, World, run, talk, world
from training.secure_aggregation.client_messages import MaskedInput, SealedShares
from training.secure_aggregation.fixed_point import Field, Layout, encode
from training.secure_aggregation.masks import Words, add_masks
from training.secure_aggregation.pair_masks import own_mask_key
from training.secure_aggregation.wire import DIGEST_BYTES

LARGE = Layout((Field("gradient", (5_000, 8), 1.0), Field("counts", (5_000,), 1000.0)))
LOW, HIGH = 160.0, 370.0  # of χ² with 255 degrees of freedom, but for one case in a hundred thousand


def same(of: World) -> Mapping[str, Values]:
    """Everybody has the same numbers, most of them 0: what masks have to hide."""
    values = {"gradient": np.zeros((5_000, 8), np.float32), "counts": np.zeros(5_000, np.float32)}
    values["gradient"][::50] = 0.25
    values["counts"][::50] = 1
    return dict.fromkeys(of.terms.cohort, values)


@pytest.fixture(scope="module")
def of() -> World:
    return world(5, 4, LARGE)


@pytest.fixture(scope="module")
def made(of: World) -> Talk:
    return talk(of, same(of), {"cell-4": 3})


def words_of(message: bytes) -> Words:
    return np.frombuffer(MaskedInput.from_bytes(message).words, "<u4")


def chi_square(content: bytes) -> float:
    """Pearson's statistic of the 256 values of a byte against all of them being as likely."""
    seen = np.bincount(np.frombuffer(content, np.uint8), minlength=256)
    expected = len(content) / 256
    return float(((seen - expected) ** 2 / expected).sum())


def looks_random(content: bytes) -> bool:
    """Whether bytes, sums of two neighbours and differences of words a block apart are all as likely."""
    of = np.frombuffer(content, np.uint8)
    derived = (of, of[:-1] + of[1:], of[16:] - of[:-16], of[0::4], of[3::4])
    return all(LOW < chi_square(one.tobytes()) < HIGH for one in derived)


def test_the_measure_tells_an_encoded_input_from_random_bytes(of: World) -> None:
    assert looks_random(np.random.default_rng(5).bytes(180_000))
    assert not looks_random(encode(same(of)["cell-0"], LARGE, 5).tobytes())
    assert not looks_random(encode(same(of)["cell-0"], LARGE, 5, [1]).tobytes())


@pytest.mark.parametrize("name", ["cell-0", "cell-2", "cell-4"])
def test_a_masked_input_looks_random(made: Talk, name: str) -> None:
    assert looks_random(words_of(made.masked[name][1]).tobytes())


def test_a_masked_input_looks_random_when_its_own_mask_is_off(of: World, made: Talk) -> None:
    """After the round the server knows the secret of each survivor's own mask; the masks of pairs still cover it."""
    for name in ("cell-0", "cell-2"):
        words = words_of(made.masked[name][1]).copy()
        shared, _ = made.shared[name]
        add_masks(words, [(own_mask_key(shared.roster, name, shared.advertised.secret("own mask")), -1)])
        assert looks_random(words.tobytes())


def test_only_the_sum_over_all_is_without_masks(of: World, made: Talk) -> None:
    """Sums over fewer look random, with all own masks off; the sum over all survivors is that of the inputs."""
    total = np.zeros(LARGE.numbers, np.uint32)
    for place, name in enumerate(of.terms.cohort):
        shared, _ = made.shared[name]
        total += words_of(made.masked[name][1])
        add_masks(total, [(own_mask_key(shared.roster, name, shared.advertised.secret("own mask")), -1)])
        assert looks_random(total.tobytes()) == (place < 4)
    assert (total == encode(same(of)["cell-0"], LARGE, 5) * 5).all()


def test_sealed_shares_and_keys_look_random() -> None:
    of = world(40, 27)
    values = {"gradient": np.zeros((3, 2), np.float32), "counts": np.zeros(4, np.float32)}
    made = talk(of, dict.fromkeys(of.terms.cohort, values))
    sealed = (SealedShares.from_bytes(message) for _, message in made.shared.values())
    content = b"".join(one.commitment + b"".join(part for _, part in one.sealed) for one in sealed)
    assert len(content) > 200_000
    assert looks_random(content)


def test_two_rounds_with_the_same_data_share_no_bytes(of: World) -> None:
    """Fresh keys each time, for the same terms: nothing that a client sends is in both but the header."""
    sent: list[dict[str, list[bytes]]] = [{}, {}]
    sums = []
    for round_ in sent:
        result = run(of, same(of), seen=lambda name, message, into=round_: into.setdefault(name, []).append(message))
        sums.append(result.sums["counts"].tolist())
    assert sums[0] == sums[1] == (5 * same(of)["cell-0"]["counts"]).tolist()
    head = 5 + DIGEST_BYTES + 2
    for name in of.terms.cohort:
        for one, other in zip(sent[0][name], sent[1][name], strict=True):
            assert one[:head] == other[:head]
            pieces = [{text[place : place + 8] for place in range(head, len(text) - 7)} for text in (one, other)]
            assert pieces[0].isdisjoint(pieces[1])
        masked = [words_of(round_[name][2]) for round_ in sent]
        assert (masked[0] == masked[1]).sum() <= 3  # of 45,000; by chance it is one in 100,000 rounds


def test_clients_with_the_same_data_send_different_words(of: World, made: Talk) -> None:
    one, other = (words_of(made.masked[name][1]) for name in ("cell-0", "cell-1"))
    assert looks_random((one - other).tobytes())
