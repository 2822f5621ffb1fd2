"""A finding: which rule an object breaks, and how."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeAlias

Object: TypeAlias = dict[str, Any]  # one Kubernetes object, as its YAML has it
Broken: TypeAlias = tuple[str, str]  # what breaks a rule, and how
Rule: TypeAlias = Callable[["Objects"], Iterator[Broken]]


class Finding(NamedTuple):
    """`rule` is the name of the function that found it; `subject` is kind/name, and the container where it is one."""

    rule: str
    subject: str
    what: str


class Objects(tuple[Object, ...]):
    """All objects of one overlay: rules about references look in the whole of it."""

    __slots__ = ()

    def of_kind(self, *kinds: str) -> Iterator[Object]:
        """Those of these kinds, in their order."""
        return (each for each in self if each["kind"] in kinds)

    def named(self, kind: str, namespace: str, name: str) -> Object | None:
        """The one of that name."""
        here = (each for each in self.of_kind(kind) if (namespace_of(each), name_of(each)) == (namespace, name))
        return next(here, None)


def namespace_of(thing: Object) -> str:
    """Where it is; "" for what has no namespace, or is given one by whoever applies it."""
    return str(thing["metadata"].get("namespace", ""))


def name_of(thing: Object) -> str:
    """What it is called."""
    return str(thing["metadata"]["name"])


def subject(thing: Object) -> str:
    """kind/name, as kubectl writes it."""
    return f"{thing['kind']}/{name_of(thing)}"


def findings(objects: Objects, rules: Iterable[Rule]) -> list[Finding]:
    """All that the rules find, rule by rule."""
    return [Finding(rule.__name__, where, what) for rule in rules for where, what in rule(objects)]
