"""What can be wrong with a cluster.

Wrong              a manifest says what cannot be: the message names the object
└── NotThere       what it names is not there; it may come
NotReady           pods were not ready in time, or one fails; the message says of each what it waits for
"""


class Wrong(Exception):
    """A manifest says what cannot be."""


class NotThere(Wrong):
    """What a manifest names is not there; it may come."""


class NotReady(Exception):
    """Pods were not ready in time, or one fails."""
