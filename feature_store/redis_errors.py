"""What went wrong with Redis, in our words: which error it is, and whether another attempt may do better.

No error shows what a server or a network wrote, beyond the code that it begins with, where that text may hold what we
sent: `unknown command 'AUTH', with args beginning with: 'our password'`.
"""

import re

from redis.exceptions import (
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    ClusterError,
    MaxConnectionsError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostConnection
from redis.exceptions import TimeoutError as NoReply

from feature_store.errors import CorruptStore, StoreError, StoreUnavailable

REDIS_ERRORS = (RedisError, RedisClusterException, OSError)  # all that redis-py raises; it has two roots

_CODE = re.compile(r"-?([A-Z][A-Z0-9]{2,})\b")
_REFUSED_IN_SCRIPT = re.compile("ACL failure in script|The user executing the script can't")  # Redis 7, Redis 6
_LASTING = (AuthenticationError, AuthorizationError, MaxConnectionsError)  # connection errors that stay
_PASSING = (
    LostConnection,  # and BusyLoadingError, which is one
    NoReply,
    ReadOnlyError,  # a master that has become a replica: the next attempt may find the new one
    TryAgainError,
    ClusterError,  # and ClusterDownError, MasterDownError
    MovedError,
    AskError,
    RedisClusterException,  # no node of the cluster answers, or a slot has no node
    OSError,
)
_PASSING_CODES = {"CLUSTERDOWN", "LOADING", "MASTERDOWN", "READONLY", "TRYAGAIN"}  # as met within a script
_MEANINGS = {
    "BUSY": "is busy with a script",
    "CLUSTERDOWN": "is a cluster that is down",
    "CROSSSLOT": "is a cluster and is not used as one: set cluster",
    "LOADING": "is still loading its data",
    "MASTERDOWN": "is a replica without its master",
    "MISCONF": "cannot save to its disk, and takes no writes",
    "MOVED": "is a cluster whose slots have moved, or is not used as one: set cluster",
    "NOAUTH": "asks for a password",
    "NOREPLICAS": "has too few replicas in reach, and takes no writes",
    "OOM": "is full: its memory has reached maxmemory",
    "READONLY": "is a read-only replica",
    "WRONGPASS": "does not know that user or password",
}


def is_passing(error: Exception) -> bool:
    """Whether the same command may succeed a little later."""
    if isinstance(error, _LASTING) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    return isinstance(error, _PASSING) or _code(error) in _PASSING_CODES


def is_unknown_outcome(error: Exception) -> bool:
    """Whether the command may have been carried out all the same."""
    return isinstance(error, LostConnection | NoReply | OSError) and not isinstance(error, BusyLoadingError)


def named_error(error: Exception, place: str, command: str) -> StoreError:
    """The same in our words.

    place: the server, without any password.
    command: the name of the command that failed.
    """
    code = _code(error)
    if code == "WRONGTYPE":
        return CorruptStore(f"the Redis at {place} holds another kind of value where a person should be: {command}")
    return StoreUnavailable(f"the Redis at {place} {_what(error, code)}: {command}")


def _what(error: Exception, code: str) -> str:
    if isinstance(error, NoPermissionError) or _REFUSED_IN_SCRIPT.search(str(error)):
        return f"does not let us do that; its ACL refuses {_refused(str(error))}"
    if code in _MEANINGS:
        return _MEANINGS[code]
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "has a certificate that none of our authorities has signed for it"
    if isinstance(error, NoReply | TimeoutError):  # redis-py's, and that of asyncio
        return "does not answer in time"
    if isinstance(error, LostConnection | RedisClusterException | OSError):
        return f"cannot be reached ({type(error).__name__})"
    return f"refuses ({code or type(error).__name__})"


def _code(error: Exception) -> str:
    """The word that tells errors of Redis apart; redis-py cuts it off where it has a class for it."""
    for kind, code in (
        (OutOfMemoryError, "OOM"),
        (ReadOnlyError, "READONLY"),
        (BusyLoadingError, "LOADING"),
        (MovedError, "MOVED"),
        (AskError, "MOVED"),
        (ClusterDownError, "CLUSTERDOWN"),
    ):
        if isinstance(error, kind):
            return code
    text = str(error)
    if isinstance(error, AuthenticationError):
        return "NOAUTH" if "uthentication required" in text else "WRONGPASS"
    if isinstance(error, ResponseError):
        found = _CODE.match(text)
        return found[1] if found else _within_script(text)
    return ""


def _within_script(text: str) -> str:
    """The code of an error that a command in a script met; older servers put words of their own before it."""
    return next((code for code in _MEANINGS if re.search(rf"\b{code}\b", text)), "")


def _refused(text: str) -> str:
    """The command that an ACL refuses, from `no permissions to run the 'hset' command`; or the keys."""
    found = re.search(r"the '([a-z0-9|_-]+)' command", text)
    if found:
        return f"the command {found[1]}"
    return "a command or a key of a script" if _REFUSED_IN_SCRIPT.search(text) else "the keys hearth:*"
