"""Where a federation is: its SuperLink, its registry and the centre's folder, as `up` made them or elsewhere."""

from dataclasses import dataclass
from pathlib import Path

from feature_store.errors import BadInput
from hearth.federation.layout import Layout
from hearth.federation.up import read_status
from training.federation.centre_sums import read_centre_sums
from training.federation.node_key_files import SUFFIX


@dataclass(frozen=True, slots=True)
class Place:
    """What a retraining needs to reach.

    address: of the SuperLink, host:port. authority: the certificate that signed the SuperLink's.
    registry: a folder or a URL. signing_key: of whoever publishes.
    centre: the folder of requests; the ServerApp's process reads it under the same path, as it does the others here.
    cells: how many there are, where that is known here.
    """

    address: str
    authority: Path
    registry: str
    signing_key: Path
    centre: Path
    cells: int | None = None

    @property
    def state(self) -> Path | None:
        """Where rounds are saved, where that is not beside the checkpoints."""
        return self.centre / "training" if "://" in self.registry else None


def place_of_folder(folder: Path) -> Place:
    """The federation that `hearth federation up` keeps running; raises `BadInput` where none runs."""
    layout = Layout(folder.resolve())
    plan, status = layout.plan(), read_status(layout)
    return Place(
        str(status["address"]),
        layout.authority,
        str(layout.registry),
        layout.signing_key,
        layout.centre,
        len(plan.cells),
    )


def place_elsewhere(
    superlink: str | None, authority: Path | None, registry: str | None, signing_key: Path, centre: Path | None
) -> Place:
    """The federation that these name; raises `BadInput`, naming what is missing."""
    missing = [
        name
        for name, value in (
            ("--superlink", superlink),
            ("--authority", authority),
            ("--registry", registry),
            ("--centre", centre),
        )
        if value is None
    ]
    if superlink is None or authority is None or registry is None or centre is None:
        raise BadInput(f"name the federation's --folder, or where its parts are; missing: {', '.join(missing)}")
    if not authority.is_file():
        raise BadInput(f"there is no certificate {authority}; --authority names the one that signed the SuperLink's")
    # Absolute, and links are not followed: a mounted secret is a link, which leads elsewhere in each pod that has it.
    where = registry if "://" in registry else str(Path(registry).absolute())
    return Place(superlink, authority, where, signing_key.absolute(), centre.absolute(), _cells(centre))


def _cells(centre: Path) -> int | None:
    """How many cells the centre knows the public keys of; None where it knows none, as sums in the clear need none."""
    return sum(1 for _ in (centre / read_centre_sums(centre).node_keys).glob(f"*{SUFFIX}")) or None
