"""How a container stands: what the pod, its Service and whoever waits for it want to know."""

from dataclasses import dataclass, field
from pathlib import Path

from tests.k8s.cluster.container import Ended, Running

_LINES = 12


@dataclass(slots=True)
class Standing:
    """Of one container, through all its starts.

    waits_for: what is not there yet; fault: what is wrong for good; said: by the last of each of its probes;
    exits: the status of each end that nobody asked for; ended: the end that somebody did ask for.
    """

    name: str
    log: Path
    running: Running | None = None
    is_ready: bool = False
    waits_for: str = ""
    fault: str = ""
    said: dict[str, str] = field(default_factory=dict)
    exits: list[int] = field(default_factory=list)
    ended: Ended | None = None

    def why_not(self) -> str:
        """Why it is not ready, with the last lines of what it said itself."""
        parts = [self.fault or self.waits_for, *(f"{probe}: {said}" for probe, said in self.said.items())]
        if self.exits:
            parts.append(f"ended with {', '.join(map(str, self.exits))}")
        if self.log.exists():
            lines = self.log.read_text(errors="replace").splitlines()
            parts += ["".join(f"\n    {line}" for line in lines[-_LINES:])]
        return "; ".join(filter(None, parts)) or "was not started"
