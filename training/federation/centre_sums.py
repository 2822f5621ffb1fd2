"""How the centre adds: under masks, unless its folder says that sums are to be in the clear.

sums.json in the centre's folder is written by whoever set the federation up; without it sums are masked, and the public
keys of the cells are in the folder node-keys beside it.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from feature_store.durable import replace
from feature_store.errors import BadInput
from feature_store.faults import faults_of
from training.federation.adding import Adding, plainly
from training.federation.node_key_files import read_pinned
from training.federation.secure_adding import Securely

NODE_KEYS = "node-keys"
_FILE = "sums.json"


class CentreSums(BaseModel):
    """How sums are added."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    sums: Literal["masked", "plain"] = Field(
        default="masked", description="under masks, or in the clear: then the centre sees each cell's"
    )
    node_keys: Path = Field(
        default=Path(NODE_KEYS), description="folder of the cells' public keys, NAME.pub, from the centre's folder"
    )
    colluding: int = Field(default=0, ge=0, description="cells that may help a centre that lies")


def write_centre_sums(centre: Path, how: CentreSums) -> None:
    """Put it there."""
    centre.mkdir(parents=True, exist_ok=True)
    replace(centre / _FILE, how.model_dump_json(indent=2).encode())


def says_how(centre: Path) -> bool:
    """Whether somebody has said it there."""
    return (centre / _FILE).exists()


def read_centre_sums(centre: Path) -> CentreSums:
    """What that folder says; raises `BadInput` for what is none."""
    file = centre / _FILE
    try:
        return CentreSums.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return CentreSums()
    except ValidationError as error:
        raise BadInput(f"{file}: {faults_of(error)}") from None


def adding_of(centre: Path) -> Adding:
    """What adds for that centre; raises `BadInput` where masks are due and there are no keys to agree by."""
    how = read_centre_sums(centre)
    if how.sums == "plain":
        return plainly
    return Securely(read_pinned(centre / how.node_keys), how.colluding)
