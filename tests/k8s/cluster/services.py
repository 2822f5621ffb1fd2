"""Services: an address that leads to the pods that are ready, or, of one without, the pods' addresses themselves.

As kube-proxy: a new connection goes to a pod that is ready and not ending; where there is none such, to one that is
ending and still ready; where there is none at all it is refused. A connection that stands is left alone.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Iterable

from k8s.policies.finding import Object, name_of, namespace_of
from k8s.policies.pods import selects
from tests.k8s.cluster.pod import Pod
from tests.k8s.cluster.probes import port_of
from tests.k8s.cluster.wrong import Wrong

_CHUNK = 1 << 16


class Service:
    """One Service. address: of its own; "" where it has none (headless)."""

    def __init__(self, thing: Object, address: str) -> None:
        self.address, self._thing = address, thing
        self._servers: list[asyncio.Server] = []
        self._pods: list[Pod] = []
        self._passing: set[asyncio.Task[None]] = set()
        self._turns = itertools.count()

    @property
    def names(self) -> list[str]:
        """By which containers call it."""
        name, namespace = name_of(self._thing), namespace_of(self._thing)
        return [name, f"{name}.{namespace}", f"{name}.{namespace}.svc", f"{name}.{namespace}.svc.cluster.local"]

    @property
    def port(self) -> int:
        """Its own, of a Service that has one."""
        (port,) = self._thing["spec"]["ports"]
        return int(port["port"])

    def addresses(self) -> list[str]:
        """Whose the names are."""
        return [self.address] if self.address else [pod.address for pod in self._pods]

    async def lead_to(self, pods: Iterable[Pod]) -> None:
        """From now on to those of these pods that it selects and that are ready; raises `Wrong` for their ports."""
        selector = {"matchLabels": self._thing["spec"].get("selector", {})}
        chosen = [pod for pod in pods if pod.is_ready and selects(selector, pod.pods.labels)]
        self._pods = [pod for pod in chosen if not pod.is_ending] or chosen
        ports = [(each["port"], each.get("targetPort") or each["port"]) for each in self._thing["spec"]["ports"]]
        for _, target in ports:
            for pod in self._pods:
                self._port_of(pod, target)
        if self.address and self._pods and not self._servers:
            self._servers = [await self._listening(*each) for each in ports]
        elif not self._pods:
            self.close()

    def close(self) -> None:
        """Refuse new connections."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def _listening(self, port: int, target: int | str) -> asyncio.Server:
        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._pass_on(reader, writer, target))
            self._passing.add(task)  # nobody else holds it
            task.add_done_callback(self._passing.discard)

        return await asyncio.start_server(connected, self.address, port)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int | str) -> None:
        """Between whoever has connected and one of the pods, until both have said all."""
        with contextlib.closing(writer), contextlib.suppress(OSError):
            if self._pods:
                pod = self._pods[next(self._turns) % len(self._pods)]
                there, back = await asyncio.open_connection(pod.address, self._port_of(pod, target))
                with contextlib.closing(back):
                    await asyncio.gather(_pour(reader, back), _pour(there, writer))

    def _port_of(self, pod: Pod, target: int | str) -> int:
        for container in pod.pods.spec["containers"]:
            with contextlib.suppress(Wrong):
                return port_of(container, target)
        raise Wrong(f"Service/{name_of(self._thing)} leads to port {target}, which no container of {pod.name} has")


async def _pour(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Pass on what comes until there is no more, and then say so."""
    while chunk := await source.read(_CHUNK):
        sink.write(chunk)
        await sink.drain()
    if sink.can_write_eof():
        sink.write_eof()
