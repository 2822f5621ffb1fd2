"""Updates that a cell has given, each to one sum: kept on the disk, so that it gives none to two.

Of two sums over the same numbers, the second without one cell, the difference is that cell's numbers. So a cell signs
one set of survivors for each update, and writes it down before it does; the same set again shows nothing new, and is
what a server asks for that was killed and repeats its last round. An update is known by what it says: the same numbers
are the same update, whatever task they answer.

Before its masked sums leave, an update is *reserved*, with the cohort of their round, in a second file: a cell that
cannot write drops out while nothing of it is in a total. Reserved and not signed, it may be tried in another round:
whoever uncovered it meanwhile, as a majority of its cohort can without this cell, has signed their own updates for it.

Nothing is forgotten, as what is forgotten could go into a second sum. A file that is full ends the giving.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from training.federation.errors import Refused
from training.federation.sums import Sums

_FILE = TypeAdapter(dict[str, list[str]])  # by digest: the survivors, or of a reserved one the cohort
_MOST = 100_000  # kept; a retraining each night gives some 5,000 a year


def digest_of(sums: Sums) -> str:
    """The SHA-256 of an update, in hexadecimal."""
    digest = hashlib.sha256(json.dumps(sorted(sums.numbers.items())).encode())
    for name, array in sorted(sums.arrays.items()):
        digest.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


class GivenUpdates:
    """Those of one cell.

    file: of those that were signed for; made with the first one. Beside it is reserved-updates.json.
    most: how many are kept.
    """

    def __init__(self, file: Path, most: int = _MOST) -> None:
        self._file, self._reserved, self._most = file, file.with_name("reserved-updates.json"), most

    def reserve(self, update: str, cohort: Sequence[str]) -> None:
        """Write down that the masked sums of this update are about to go into a round of these cells.

        update: see `digest_of`.

        Raises:
            Refused: it was given to a sum over others than can be in that round; or no more can be kept.
            BadInput: a file is none of these.
            OSError: it cannot be written.
        """
        given, reserved = _read(self._file), _read(self._reserved)
        if update in given:
            if not set(given[update]) <= set(cohort):
                raise _in_another_sum(given[update], cohort)
            return
        waiting = {name: cells for name, cells in reserved.items() if name not in given} | {update: list(cohort)}
        if len(given) + len(waiting) > self._most:
            raise Refused(
                f"this cell has given {len(given):,} updates and keeps {self._most:,}: to forget one would let it into "
                f"a second sum, and which may be forgotten is for the cell's operator to say"
            )
        _write(self._reserved, waiting)

    def give(self, update: str, survivors: Sequence[str]) -> None:
        """Write down that this update, which was reserved, is in the sum over these cells.

        Raises:
            Refused: it was given to a sum over others, or not reserved.
            BadInput, OSError: as of `reserve`.
        """
        given = _read(self._file)
        if update in given:
            if given[update] != list(survivors):
                raise _in_another_sum(given[update], survivors)
            return
        if update not in _read(self._reserved):
            raise Refused("an update is reserved before its masked sums leave; this one is not, or not any more")
        _write(self._file, given | {update: list(survivors)})


def _write(file: Path, updates: Mapping[str, Sequence[str]]) -> None:
    replace(file, json.dumps(updates).encode(), 0o600)


def _read(file: Path) -> dict[str, list[str]]:
    try:
        return _FILE.validate_json(file.read_bytes())
    except FileNotFoundError:
        return {}
    except ValidationError as error:
        raise BadInput(f"{file} is no list of updates: {faults_of(error)}") from None


def _in_another_sum(survivors: Sequence[str], asked: Sequence[str]) -> Refused:
    return Refused(
        f"an update goes into one sum: this one is in that over {', '.join(survivors)}; asked for is one over "
        f"{', '.join(asked)}, and the difference of the two would be of fewer cells"
    )
