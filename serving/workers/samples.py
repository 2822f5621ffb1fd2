"""Samples: what all workers have counted, as one reply to Prometheus. Each sample says whose it is.

A sum over the label `worker` is what the server has counted; see docs/operations.md for what cannot be summed.
"""

from collections.abc import Mapping

_UP = "hearth_worker_up"
_FAMILY = "# HELP "


def merged(texts: Mapping[int, str], count: int) -> str:
    r"""The samples of all workers, in the text format of Prometheus, each with its worker's number.

    texts: of those who have told theirs, in the same format.
    count: of workers, those too who have not.

    >>> print(merged({0: "# HELP n N\n# TYPE n counter\nn 1.0\n"}, 2), end="")
    # HELP n N
    # TYPE n counter
    n{worker="0"} 1.0
    # HELP hearth_worker_up 1 for a worker that has told what it counts; 0 for one that did not in time
    # TYPE hearth_worker_up gauge
    hearth_worker_up{worker="0"} 1.0
    hearth_worker_up{worker="1"} 0.0
    """
    families: dict[str, list[str]] = {}
    for worker, text in sorted(texts.items()):
        head: list[str] = []
        for line in text.splitlines():
            if line.startswith("#"):
                head = [line] if line.startswith(_FAMILY) else [*head, line]
                samples = families.setdefault("\n".join(head), [])
            else:
                samples.append(_labelled(line, worker))
    lines = [line for head, samples in families.items() for line in (head, *samples) if samples]
    lines += [f"{_FAMILY}{_UP} 1 for a worker that has told what it counts; 0 for one that did not in time"]
    lines += [f"# TYPE {_UP} gauge"]
    lines += [f'{_UP}{{worker="{worker}"}} {float(worker in texts)}' for worker in range(count)]
    return "\n".join(lines) + "\n"


def _labelled(sample: str, worker: int) -> str:
    """The sample with one label more. Its name ends at a brace or a blank, of which a name has none."""
    name, brace, rest = sample.partition("{")
    if brace and " " not in name:
        return f'{name}{{worker="{worker}",{rest}'
    name, _, value = sample.partition(" ")
    return f'{name}{{worker="{worker}"}} {value}'
