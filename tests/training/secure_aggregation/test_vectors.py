"""A round from given seeds, byte for byte: held against a file, and against a second implementation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.training.secure_aggregation import independent
from tests.training.secure_aggregation.rounds import LAYOUT, Talk, World, random_values, seeded, talk, world

FILE = Path(__file__).with_name("vectors.json")
LEAVES = {"cell-1": 1, "cell-4": 2}  # one before it shares keys, one before it sends its masked input


def given() -> tuple[World, dict[str, dict[str, np.ndarray]]]:
    of = world(6, 4, round_id="vectors")
    return of, {name: random_values(LAYOUT, number) for number, name in enumerate(of.terms.cohort)}


def written(of: World, values: dict[str, dict[str, np.ndarray]], made: Talk) -> dict[str, Any]:
    """A round as the file has it: what it was made from, and all messages of the clients in hexadecimal."""
    terms = of.terms
    return {
        "terms": {
            "round_id": terms.round_id,
            "cohort": list(terms.cohort),
            "threshold": terms.threshold,
            "word_bits": terms.layout.word_bits,
            "fields": [[field.name, list(field.shape), field.bound] for field in terms.layout.fields],
            "message": terms.to_bytes().hex(),
        },
        "leaves": LEAVES,
        "clients": {
            name: {
                "node_key_seed": seeded("node key", name).hex(),
                "seed": of.seed(name).hex(),
                "values": {field: array.astype(float).ravel().tolist() for field, array in values[name].items()},
                **{
                    what: replies[name][1].hex()
                    for what, replies in (
                        ("advertisement", made.advertised),
                        ("sealed_shares", made.shared),
                        ("masked_input", made.masked),
                        ("agreement", made.agreed),
                    )
                    if name in replies
                },
                **({"unmasking": made.unmaskings[name].hex()} if name in made.unmaskings else {}),
            }
            for name in terms.cohort
        },
        "sums": {field: array.ravel().tolist() for field, array in made.result.sums.items()},
        "summed": list(made.result.clients),
    }


@pytest.fixture(scope="module")
def file() -> dict[str, Any]:
    return json.loads(FILE.read_text())


def test_the_round_of_the_file_is_made_again_byte_for_byte(file: dict[str, Any]) -> None:
    of, values = given()
    assert written(of, values, talk(of, values, LEAVES)) == file


def test_a_second_implementation_makes_the_same_bytes(file: dict[str, Any]) -> None:
    said = file["terms"]
    fields = [(name, tuple(shape), bound) for name, shape, bound in said["fields"]]
    terms = independent.Terms(said["round_id"], said["cohort"], said["threshold"], said["word_bits"], fields)
    assert terms.message.hex() == said["message"]
    clients = [
        independent.Client(terms, number, bytes.fromhex(of["node_key_seed"]), bytes.fromhex(of["seed"]))
        for number, of in enumerate(file["clients"].values())
    ]

    def there(stage: int) -> list[independent.Client]:
        return [one for one in clients if file["leaves"].get(one.name, 5) > stage]

    roster, sharers, survivors = there(0), there(1), there(2)
    values = {
        name: {field: np.array(numbers, np.float32) for field, numbers in of["values"].items()}
        for name, of in file["clients"].items()
    }
    sent = {
        "advertisement": (0, lambda one: one.advertisement()),
        "sealed_shares": (1, lambda one: one.sealed(roster)),
        "masked_input": (2, lambda one: one.masked(values[one.name], roster, sharers)),
        "agreement": (3, lambda one: one.agreement(roster, sharers, survivors)),
        "unmasking": (4, lambda one: one.unmasking(roster, sharers, survivors)),
    }
    for what, (stage, make) in sent.items():
        made = {one.name: make(one).hex() for one in there(stage)}
        assert made == {name: of[what] for name, of in file["clients"].items() if what in of}
    assert [one.name for one in survivors] == file["summed"]
    integers = np.sum(
        [independent.rounded(values[one.name], fields, terms.bits, len(clients)) for one in survivors], axis=0
    )
    start = 0
    for name, shape, bound in fields:
        size = independent.step_of(bound, terms.bits, len(clients))
        end = start + int(np.prod(shape))
        assert [float(int(number) * size) for number in integers[start:end]] == file["sums"][name]
        start = end


def test_any_threshold_of_the_shares_of_the_file_gives_the_secret_of_who_left(file: dict[str, Any]) -> None:
    left = independent.Client(
        independent.Terms(
            "vectors", file["terms"]["cohort"], 4, 32, [("gradient", (3, 2), 1.0), ("counts", (4,), 1000.0)]
        ),
        4,
        bytes.fromhex(file["clients"]["cell-4"]["node_key_seed"]),
        bytes.fromhex(file["clients"]["cell-4"]["seed"]),
    )
    shares = {}
    for number, name in enumerate(file["clients"]):
        if "unmasking" in file["clients"][name]:
            content = bytes.fromhex(file["clients"][name]["unmasking"])[-66:]  # the one mask key is the last share
            shares[number + 1] = int.from_bytes(content, "big")
    assert len(shares) == 4
    assert independent.recovered(shares) == left.secrets["mask key"]
    del shares[1]
    assert independent.recovered(shares) != left.secrets["mask key"]


@pytest.mark.parametrize(
    ("scalar", "point", "product"),
    [  # RFC 7748, section 5.2
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_the_second_implementation_multiplies_as_the_standard_says(scalar: str, point: str, product: str) -> None:
    assert independent.x25519(bytes.fromhex(scalar), bytes.fromhex(point)).hex() == product
