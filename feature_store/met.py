"""The items a person has met: all that folding in and filtering need of a history, however long it is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetItems:
    """A history without its order, its repeats and what was done.

    An item that was merely shown (impressions alone) is neither met nor disliked.

    item_ids: what the person had to do with, distinct, ascending by code point. Folding in starts from these.
    disliked: what the person hid and did nothing with since, distinct, ascending by code point. Nobody is folded in
        from these, and no list shows them.
    watermark: the history's (`History.watermark`).
    """

    item_ids: tuple[str, ...] = ()
    watermark: int = 0
    disliked: tuple[str, ...] = ()
