"""The log: one JSON object a line on stderr. It never holds the message of an unexpected exception.

Such a message may quote what the failing code worked on: a user id, an item, a vector. Its type and the lines of
code it passed through are what is needed to find the fault.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from select import PIPE_BUF


class JsonLines(logging.Formatter):
    """A record as JSON: time, level, logger, message, the record's `fields`, and of an exception where it arose.

    worker: the number of the process in its server, for every line; None where it is the only one.
    """

    def __init__(self, worker: int | None = None) -> None:
        super().__init__()
        self._worker = {} if worker is None else {"worker": worker}

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage().strip(),
            **self._worker,
        }
        line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[0] is not None:
            frames = traceback.extract_tb(record.exc_info[2])
            line["error"] = record.exc_info[0].__name__
            line["at"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        text = json.dumps(line)
        return _cut(line) if self._worker and len(text) >= PIPE_BUF else text


def _cut(line: dict[str, object]) -> str:
    """A line short enough to come whole out of a pipe that several processes write to, by its longest texts and lists.

    Of a list the end is kept: of an exception's way, where it arose.
    """
    text = ""
    for most in (2000, 1000, 500, 200, 100):
        text = json.dumps({name: _shortened(value, most) for name, value in line.items()})
        if len(text) < PIPE_BUF:
            break
    return text


def _shortened(value: object, most: int) -> object:
    match value:
        case str() if len(value) > most:
            return f"{value[:most]}..."
        case list():
            return [_shortened(one, most) for one in value[-(most // 100 + 1) :]]
    return value


def log_to_stderr(worker: int | None = None) -> None:
    """Let every logger of the process write JSON lines to stderr, ours from level info, others from warning.

    worker: see `JsonLines`. A line is one write then, and short enough to stay apart from others'.
    """
    stream = logging.StreamHandler(sys.stderr)
    stream.setFormatter(JsonLines(worker))
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False  # no line says them
    logging.basicConfig(level=logging.WARNING, handlers=[stream], force=True)
    logging.getLogger("serving").setLevel(logging.INFO)
