"""The variables and the command of a container, with what they refer to put in."""

import re
from collections.abc import Callable, Mapping
from typing import Any

from tests.k8s.cluster.wrong import NotThere, Wrong

_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_][\w.-]*)\)")
_KINDS = {"secretKeyRef": "Secret", "configMapKeyRef": "ConfigMap", "secretRef": "Secret", "configMapRef": "ConfigMap"}


def variables_of(
    container: dict[str, Any],
    image: Mapping[str, str],
    fields: Mapping[str, str],
    data_of: Callable[[str, str], Mapping[str, bytes]],
) -> dict[str, str]:
    """The environment: the image's, then `envFrom`, then `env`.

    fields: of the pod, by their paths; data_of: what an object holds, by its kind and name.

    Raises:
        NotThere: of an object.
        Wrong: of a key, or a field.
    """
    found = dict(image)
    for each in container.get("envFrom", ()):
        for way in each.keys() & _KINDS.keys():
            data = _data(data_of, way, each[way])
            found |= {f"{each.get('prefix', '')}{key}": text.decode() for key, text in data.items()}
    for variable in container.get("env", ()):
        if "valueFrom" in variable:
            found |= _referred(variable["name"], variable["valueFrom"], fields, data_of)
        else:
            found[variable["name"]] = put_in(variable.get("value", ""), found)
    return found


def put_in(text: str, variables: Mapping[str, str]) -> str:
    """The text with each $(NAME) replaced; $$(NAME) is $(NAME), and one that is not known stays."""

    def value(match: re.Match[str]) -> str:
        if match[1]:
            return match[0][1:]
        return variables.get(match[2], match[0])

    return _REFERENCE.sub(value, text)


def command_of(container: dict[str, Any], variables: Mapping[str, str]) -> list[str]:
    """What the container runs; raises `Wrong` where only the image says it."""
    words = [*container.get("command", ()), *container.get("args", ())]
    if "command" not in container:
        raise Wrong("it has no command: what its image starts is not known here")
    return [put_in(word, variables) for word in words]


def _referred(
    name: str, reference: dict[str, Any], fields: Mapping[str, str], data_of: Callable[[str, str], Mapping[str, bytes]]
) -> dict[str, str]:
    """The variable of that name, or none where what it refers to may be missing, and is."""
    ((way, source),) = reference.items()
    if way == "fieldRef":
        if source["fieldPath"] not in fields:
            raise Wrong(f"variable {name} is of the field {source['fieldPath']}, which is not known")
        return {name: fields[source["fieldPath"]]}
    if way not in _KINDS:
        raise Wrong(f"variable {name}: of {way} nothing is known here")
    data = _data(data_of, way, source)
    if source["key"] in data:
        return {name: data[source["key"]].decode()}
    if source.get("optional"):
        return {}
    raise Wrong(f"variable {name}: {_KINDS[way]}/{source['name']} has no key {source['key']}; it has {sorted(data)}")


def _data(data_of: Callable[[str, str], Mapping[str, bytes]], way: str, source: dict[str, Any]) -> Mapping[str, bytes]:
    try:
        return data_of(_KINDS[way], source["name"])
    except NotThere:
        if source.get("optional"):
            return {}
        raise
