"""A container that runs: a process in its own mounts and processes, and in the network of its pod."""

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tests.k8s.cluster.places import programs
from tests.k8s.cluster.ways import Way

# The path of a container's programs has no folder of the system's own.
_PIVOT = shutil.which("pivot_root", path="/usr/sbin:/usr/bin:/sbin:/bin") or "pivot_root"


class Ended(NamedTuple):
    """status: of its exit, negative for a signal; killed: whether it had to be; seconds: that it took."""

    status: int
    killed: bool
    seconds: float


class Place(NamedTuple):
    """Where containers of a pod run. root: of all containers; network: the pod's, as a file."""

    way: Way
    root: Path
    network: str
    context: dict[str, Any]


class Running:
    """A container, once started. log: where what it says goes."""

    def __init__(self, place: Place, spec: dict[str, Any], log: Path) -> None:
        self.spec, self.log = spec, log
        self._place = place
        self._process: asyncio.subprocess.Process
        self._variables: Mapping[str, str] = {}

    async def start(
        self, command: Sequence[str], variables: Mapping[str, str], folder: str, volumes: Mapping[str, Path]
    ) -> None:
        """Start it. volumes: the folder of each volume of the pod."""
        self._variables = variables
        identity = self._place.way.identity(self._place.context, self.spec.get("securityContext", {}))
        words = ["nsenter", f"--net={self._place.network}", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
        words += ["sh", "-c", self._script(volumes), "container", "env", f"--chdir={folder}", *identity, *command]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *words,
                env=dict(variables),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _script(self, volumes: Mapping[str, Path]) -> str:
        """What the shell does before it becomes the container's command."""
        root, lines = self._place.root, ["set -e"]
        for mount in sorted(self.spec.get("volumeMounts", ()), key=lambda each: str(each["mountPath"])):
            source = volumes[mount["name"]] / mount.get("subPath", "")
            target = shlex.quote(f"{root}{mount['mountPath']}")
            lines.append(f"mkdir -p {target}; mount --bind {shlex.quote(str(source))} {target}")
            if mount.get("readOnly"):
                lines.append(f"mount -o remount,bind,ro {target}")
        # A checkout below /tmp is hidden by a volume there.
        covers = [Path(mount["mountPath"]) for mount in self.spec.get("volumeMounts", ())]
        for place in (each for each in programs() if not {*covers}.isdisjoint(each.parents)):
            hidden = shlex.quote(f"{root}{place}")
            lines.append(f"mkdir -p {hidden}; mount --rbind {shlex.quote(str(place))} {hidden}")
        within = shlex.quote(str(root))
        # Where a machine hides parts of /proc, a user may not mount it anew.
        lines.append(f"mount -t proc proc {within}/proc 2>/dev/null || mount --rbind /proc {within}/proc")
        if self.spec.get("securityContext", {}).get("readOnlyRootFilesystem"):
            lines.append(f"mount -o remount,bind,ro {within}")
        # No chroot, within which a user could make no namespace.
        return "\n".join([*lines, f"cd {within}; {_PIVOT} . mnt; cd /; umount -l /mnt", 'exec "$@"'])

    @property
    def first_process(self) -> int | None:
        """The process 1 of the container; None before it has one and after its end."""
        number = self._process.pid
        try:
            children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        except FileNotFoundError:
            return None
        return int(children[0]) if children else None

    async def wait(self) -> int:
        """Its exit status."""
        return await self._process.wait()

    async def execute(self, command: Sequence[str], seconds: float) -> tuple[int, str]:
        """A further command in it: status and what it said; raises `TimeoutError`."""
        process = self.first_process
        if process is None:
            return 1, "the container does not run"
        words = self._place.way.inside(process, self._place.context, self.spec.get("securityContext", {}))
        asked = await asyncio.create_subprocess_exec(
            *words,
            *command,
            env=dict(self._variables),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            said, _ = await asyncio.wait_for(asked.communicate(), seconds)
        except TimeoutError:
            asked.kill()
            await asked.wait()
            raise
        return asked.returncode or 0, said.decode(errors="replace").strip()

    async def stop(self, grace: float) -> Ended:
        """As the kubelet does: what `preStop` says, SIGTERM, and after the time that is left SIGKILL.

        grace: seconds for all of it.
        """
        began = time.monotonic()
        await self._pre_stop(grace)
        self._signal(signal.SIGTERM)
        left = grace - (time.monotonic() - began)
        killed = False
        try:
            status = await asyncio.wait_for(self.wait(), max(0.0, left))
        except TimeoutError:
            killed = True
            self._signal(signal.SIGKILL)
            status = await self.wait()
        return Ended(status, killed, time.monotonic() - began)

    def kill(self) -> None:
        """At once, and all that it has started."""
        self._signal(signal.SIGKILL)

    async def _pre_stop(self, grace: float) -> None:
        todo = self.spec.get("lifecycle", {}).get("preStop", {})
        if "sleep" in todo:
            await asyncio.sleep(min(grace, todo["sleep"]["seconds"]))
        elif "exec" in todo:
            with contextlib.suppress(TimeoutError):
                await self.execute(todo["exec"]["command"], grace)
        elif todo:
            raise ValueError(f"{self.spec['name']}: of a preStop by {sorted(todo)} nothing is known here")

    def _signal(self, number: signal.Signals) -> None:
        process = self.first_process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, number)
