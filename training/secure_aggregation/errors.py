"""The errors of secure aggregation, as one tree.

    HearthError
    ├── SecureAggregationError
    │   ├── MalformedMessage      bytes that are no message of this protocol, or of another kind or version
    │   ├── WrongRound            a message of another round, or of one agreed on other terms
    │   ├── WrongSender           a message in the name of another client, or of one that is not in the cohort
    │   ├── WrongReceiver         a message for another client
    │   ├── WrongSignature        what a client is said to have signed, it has not
    │   ├── WeakKey               a public key that agrees on the same secret with everybody, or one used twice
    │   ├── WrongShare            a share that does not open, or shares that do not give what was shared
    │   ├── WrongClients          a set of clients that cannot be the next one of this round
    │   ├── TooFewClients         fewer clients than the threshold: nothing may be uncovered
    │   └── AlreadyAnswered       a second, different message of a stage that was answered
    └── BadInput
        └── OutOfRange            a number that the round's fixed-point form cannot hold

A client that raises one has sent nothing; its state is as before. A server that raises one from `accept` is as
before, and may go on without the sender; one from `close` ends the round, unless more messages come.
"""

from feature_store.errors import BadInput, HearthError


class SecureAggregationError(HearthError):
    """A message is refused, or a round cannot go on."""


class MalformedMessage(SecureAggregationError):
    """Bytes that are no message of this protocol, or one of another kind or version."""


class WrongRound(SecureAggregationError):
    """A message of another round, or of one agreed on other terms."""


class WrongSender(SecureAggregationError):
    """A message in the name of another client, or of one that is not in the cohort."""


class WrongReceiver(SecureAggregationError):
    """A message for another client."""


class WrongSignature(SecureAggregationError):
    """What a client is said to have signed, it has not."""


class WeakKey(SecureAggregationError):
    """A public key that agrees on the same secret with everybody, or one that is used twice."""


class WrongShare(SecureAggregationError):
    """A share that does not open, or shares that do not give what was shared."""


class WrongClients(SecureAggregationError):
    """A set of clients that cannot be the next one of this round."""


class TooFewClients(SecureAggregationError):
    """Fewer clients than the threshold: nothing may be uncovered."""


class AlreadyAnswered(SecureAggregationError):
    """A second, different message of a stage that was answered."""


class OutOfRange(BadInput):
    """A number that the round's fixed-point form cannot hold."""
