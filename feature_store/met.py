"""The items a person has met: all that folding in and filtering need of a history, however long it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetItems:
    """A history without its order, its repeats and what was done.

    item_ids: distinct, ascending by code point.
    watermark: the history's (`History.watermark`).
    """

    item_ids: tuple[str, ...] = ()
    watermark: int = 0
