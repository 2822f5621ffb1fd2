"""A refusal: what a cell says when it does not do what it is asked for."""

import logging

from feature_store.errors import HearthError
from training.federation.errors import FederationError
from training.federation.tasks import RefusalHeader, ReplyMessage
from training.federation.wire import reply_to_bytes
from training.secure_aggregation.errors import SecureAggregationError

_LOG = logging.getLogger("training.federation")


def refusal_of(error: HearthError) -> bytes:
    """The reply that tells of an error.

    The words of errors of federation and secure aggregation name nobody. Those of others may be of this place's files,
    or of somebody's data: they stay here.
    """
    reason = str(error)[:1000]
    if not isinstance(error, FederationError | SecureAggregationError):
        _LOG.warning("a task was not done: %s: %s", type(error).__name__, error)
        reason = "the cell's own log says more"
    return reply_to_bytes(ReplyMessage(RefusalHeader(error=type(error).__name__, reason=reason)))
