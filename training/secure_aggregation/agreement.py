"""The agreement of a round: all clients sign the same roster, the same sharers and the same survivors.

A server that tells two clients different sets finds no threshold of signatures of either, and so uncovers nothing:
this is the consistency check of Bonawitz et al. 2017, figure 4, over the sharers as well as the survivors.
"""

from collections.abc import Sequence

from training.secure_aggregation import wire
from training.secure_aggregation.errors import WrongSignature
from training.secure_aggregation.node_keys import verifies
from training.secure_aggregation.roster import Enrolment


def agreed_text(roster: bytes, sharers: Sequence[int], survivors: Sequence[int]) -> bytes:
    """What a client signs.

    roster: digest of the round's roster, which covers the terms.
    sharers: whose shares were delivered, ascending; survivors: whose masked inputs are in the sum, ascending.
    """
    return b"hearth secure aggregation 1: survivors\0" + roster + wire.clients(sharers) + wire.clients(survivors)


def require_agreed(enrolment: Enrolment, client: int, text: bytes, signature: bytes) -> None:
    """Raise `WrongSignature` unless that client has signed this text."""
    if not verifies(enrolment.keys[client], text, signature):
        raise WrongSignature(f"{enrolment.name(client)} has not signed the clients that this round has here")
