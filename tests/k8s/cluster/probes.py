"""Probes, as the kubelet asks them: from the node, at the pod's address, or by a command in the container."""

import asyncio
from typing import Any, NamedTuple

import grpc  # type: ignore[import-untyped, unused-ignore] # has no types
import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc  # type: ignore[import-untyped, unused-ignore] # has no types

from tests.k8s.cluster.container import Running
from tests.k8s.cluster.wrong import Wrong

_SCHEMES = {"HTTP": "http", "HTTPS": "https"}


class Answer(NamedTuple):
    """Whether all is well, and what was said."""

    is_well: bool
    said: str


async def asked(probe: dict[str, Any], container: Running, address: str) -> Answer:
    """Ask once; raises `Wrong` for a probe that nobody can ask."""
    seconds = float(probe.get("timeoutSeconds", 1))
    try:
        match probe:
            case {"httpGet": how}:
                return await _http(how, container, address, seconds)
            case {"tcpSocket": how}:
                port = port_of(container.spec, how["port"])
                _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), seconds)
                writer.close()
                return Answer(is_well=True, said=f"port {port} is open")
            case {"grpc": how}:
                return await _grpc(how, address, seconds)
            case {"exec": how}:
                status, said = await container.execute(how["command"], seconds)
                return Answer(status == 0, f"{' '.join(how['command'])}: status {status} {said}")
            case _:
                raise Wrong(f"a probe asks by {sorted(probe)}, of which nothing is known here")
    except TimeoutError:
        return Answer(is_well=False, said=f"{_how(probe)}: no answer in {seconds:g} s")
    except (OSError, httpx.HTTPError) as error:
        return Answer(is_well=False, said=f"{_how(probe)}: {type(error).__name__}: {error}")


def port_of(container: dict[str, Any], port: int | str) -> int:
    """The number of a port that is named, or is one already; raises `Wrong` where the container has none such."""
    if isinstance(port, int):
        return port
    named = {each.get("name"): each["containerPort"] for each in container.get("ports", ())}
    if port not in named:
        raise Wrong(f"{container['name']} has no port {port}; it has {sorted(map(str, named))}")
    return int(named[port])


async def _http(how: dict[str, Any], container: Running, address: str, seconds: float) -> Answer:
    port, path = port_of(container.spec, how["port"]), how.get("path", "/")
    place = f"{_SCHEMES[how.get('scheme', 'HTTP')]}://{address}:{port}{path}"
    # As the kubelet: whose certificate it is, it does not ask.
    async with httpx.AsyncClient(verify=False, timeout=seconds, trust_env=False) as client:  # noqa: S501
        answer = await client.get(place)
    return Answer(200 <= answer.status_code < 400, f"GET {path} at port {port}: status {answer.status_code}")


async def _grpc(how: dict[str, Any], address: str, seconds: float) -> Answer:
    port = how["port"]
    async with grpc.aio.insecure_channel(f"{address}:{port}") as channel:
        question = health_pb2.HealthCheckRequest(service=how.get("service", ""))
        try:
            answer = await health_pb2_grpc.HealthStub(channel).Check(question, timeout=seconds)
        except grpc.aio.AioRpcError as error:
            return Answer(is_well=False, said=f"grpc at port {port}: {error.code().name}: {error.details()}")
    is_well = answer.status == health_pb2.HealthCheckResponse.SERVING
    return Answer(is_well, f"grpc at port {port}: status {answer.status}")


def _how(probe: dict[str, Any]) -> str:
    return next(f"{key} {how}" for key, how in probe.items() if isinstance(how, dict))
