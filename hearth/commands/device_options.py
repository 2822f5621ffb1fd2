"""Options of a command that trains: where it computes."""

from enum import StrEnum
from typing import Annotated, TypeAlias

import typer


class DeviceName(StrEnum):
    """The devices, as the command line names them."""

    AUTO = "auto"
    CPU = "cpu"
    GPU = "gpu"


DeviceOption: TypeAlias = Annotated[
    DeviceName, typer.Option("--device", help="Where clients are computed; auto: on a GPU where there is one.")
]
XlaOption: TypeAlias = Annotated[bool, typer.Option("--xla", help="Compile for the device before the first round.")]
MixedPrecisionOption: TypeAlias = Annotated[
    bool, typer.Option("--mixed-precision", help="Item vectors in bfloat16 on the client; sums and solves in float32.")
]
