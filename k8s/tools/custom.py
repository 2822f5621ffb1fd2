"""Kinds that operators bring into a cluster, as far as we use them: no schema of them comes as a package.

Of each the fields that its `spec` may have here, and those that it must. Another field is an error: it may be a right
one, and then it is added here by somebody who has looked it up.
"""

from collections.abc import Iterator
from typing import NamedTuple

from k8s.policies.finding import Object


class Fields(NamedTuple):
    """Fields of a `spec`."""

    needed: frozenset[str]
    allowed: frozenset[str] = frozenset()


CUSTOM = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): Fields(
        frozenset({"selector", "endpoints"}), frozenset({"namespaceSelector", "targetLabels", "podTargetLabels"})
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): Fields(
        frozenset({"selector", "podMetricsEndpoints"}), frozenset({"namespaceSelector", "podTargetLabels"})
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): Fields(frozenset({"groups"})),
    ("cert-manager.io/v1", "Certificate"): Fields(
        frozenset({"secretName", "issuerRef"}),
        frozenset({"dnsNames", "commonName", "ipAddresses", "isCA", "usages", "duration", "renewBefore", "privateKey"}),
    ),
    ("cert-manager.io/v1", "Issuer"): Fields(frozenset(), frozenset({"ca", "selfSigned", "acme", "vault"})),
    ("cert-manager.io/v1", "ClusterIssuer"): Fields(frozenset(), frozenset({"ca", "selfSigned", "acme", "vault"})),
    ("external-secrets.io/v1", "ExternalSecret"): Fields(
        frozenset({"secretStoreRef"}), frozenset({"refreshInterval", "refreshPolicy", "target", "data", "dataFrom"})
    ),
    ("external-secrets.io/v1", "SecretStore"): Fields(frozenset({"provider"})),
    ("keda.sh/v1alpha1", "ScaledObject"): Fields(
        frozenset({"scaleTargetRef", "triggers"}),
        frozenset({"minReplicaCount", "maxReplicaCount", "pollingInterval", "cooldownPeriod", "fallback", "advanced"}),
    ),
    ("keda.sh/v1alpha1", "TriggerAuthentication"): Fields(
        frozenset(), frozenset({"secretTargetRef", "configMapTargetRef", "podIdentity"})
    ),
}


def faults(thing: Object) -> Iterator[str]:
    """What the `spec` of one of these lacks or has too much."""
    fields = CUSTOM[thing["apiVersion"], thing["kind"]]
    given = thing.get("spec", {}).keys()
    yield from (f"spec has no {name}" for name in sorted(fields.needed - given))
    yield from (f"spec has the unknown {name}" for name in sorted(given - fields.needed - fields.allowed))
