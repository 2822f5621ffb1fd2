"""A view: all that the requests of one placement are answered with, at one moment."""

from dataclasses import dataclass, field

from serving.assortment.assortment import Assortment
from serving.feedback import Feedback
from serving.model import ServingModel
from serving.placements.settings import Placement


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """Settings of the placement, the model, and what can be shown of the vertical.

    model: None before there is one; then the catalogue alone says what can be shown.
    now: seconds since 1970.
    seed: of all that is left to chance in this reply; it follows from the recommendation's id.
    feedback: how often items were shown and clicked lately.
    """

    placement: Placement
    model: ServingModel | None
    assortment: Assortment
    now: float
    seed: int = 0
    feedback: Feedback = field(default_factory=Feedback)
