"""What of a private run stays as it began, until it has ended: what cells know it by, and what they are told of it.

A release is drawn and paid for once, and known by its run. So a run that goes on in another process goes on under the
same name and asks its questions in the same words; cells then tell what they told before, at no cost.
"""

import hashlib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from feature_store.vocabulary import ItemVocabulary
from training.federation.centre import Request
from training.federation.flower_transport import FlowerTransport
from training.federation.private_transport import PrivateTransport, noise_cells_for
from training.federation.secure_adding import Securely
from training.privacy.ledger import FileLedger


class PrivateRun(BaseModel):
    """One private run.

    of: digest of what it trains with. people: who can train, in all cells. noise_cells: see `PrivateTransport`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run_id: str
    of: str
    people: int = Field(ge=1)
    noise_cells: int = Field(ge=1)


def begun_private(request: Request, vocabulary: ItemVocabulary) -> PrivateRun | None:
    """The unfinished private run that the request goes on with; None where it begins one, or none that is private.

    Raises:
        BadInput: the file that says so is damaged.
    """
    if request.settings.privacy is None or request.fresh:
        return None
    try:
        found = PrivateRun.model_validate_json(_file(request).read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise BadInput(f"{_file(request)}: {faults_of(error)}; --fresh discards it") from None
    return found if found.of == _digest(request, vocabulary) else None


def private_transport(
    transport: FlowerTransport,
    request: Request,
    vocabulary: ItemVocabulary,
    goes_on: PrivateRun | None,
) -> PrivateTransport | None:
    """What carries the rounds of a private run, which is written down if it begins; None for one that is not private.

    Args:
        transport: to the cells that have taken it up.
        request: see there.
        vocabulary: of the run.
        goes_on: the unfinished run that this is.
    """
    privacy = request.settings.privacy
    if privacy is None:
        return None
    colluding = transport.adding.colluding if isinstance(transport.adding, Securely) else None
    run = goes_on or PrivateRun(
        run_id=transport.run_id,
        of=_digest(request, vocabulary),
        people=transport.cohorts.population,
        noise_cells=noise_cells_for(len(transport.taken_up.cells), colluding),
    )
    if goes_on is None:
        request.saved.mkdir(parents=True, exist_ok=True)
        replace(_file(request), run.model_dump_json(indent=2).encode())
    beside = request.saved if "://" in request.registry else Path(request.registry)
    ledger = FileLedger(beside / "privacy" / "ledger.jsonl")
    return PrivateTransport(transport, privacy, ledger, run.noise_cells)


def end_private(request: Request) -> None:
    """Forget the private run whose checkpoint is published, if it was one."""
    _file(request).unlink(missing_ok=True)


def _digest(request: Request, vocabulary: ItemVocabulary) -> str:
    """Of what a run trains with; that of another run is another."""
    said = "\0".join([request.settings.model_dump_json(), *vocabulary.item_ids])
    return hashlib.sha256(said.encode()).hexdigest()


def _file(request: Request) -> Path:
    return request.saved / "private-run.json"
