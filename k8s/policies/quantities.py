"""Quantities as Kubernetes writes them: 250m, 1Gi, 2."""

import re
from decimal import Decimal

_UNITS = {
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTPE", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTPE", 1)},
    "m": Decimal("0.001"),
    "": Decimal(1),
}


_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)([A-Za-z]*)", re.ASCII)


def quantity(text: str | float) -> Decimal:
    """How much that is, in cores, bytes or pieces.

    Raises:
        ValueError: it is no quantity.
    """
    written = _QUANTITY.fullmatch(str(text))
    if written is None or written[2] not in _UNITS:
        raise ValueError(f"{text!r} is no quantity, as 250m, 1.5 and 2Gi are")
    return Decimal(written[1]) * _UNITS[written[2]]
