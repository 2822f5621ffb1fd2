"""Eligibility: which items may be in this list at all. What is not eligible is left out, never ranked lower."""

import numpy as np

from feature_store.arrays import BoolArray, Int32Array
from serving.placements.conditions import holds, holds_at
from serving.profile import Profile
from serving.request import NOBODY, RecommendationRequest
from serving.view import View
from serving.visibility import visible_places


def eligible_places(view: View, request: RecommendationRequest, profile: Profile) -> BoolArray:
    """Which places of the assortment may be shown to this person now, shape (places,)."""
    assortment, placement = view.assortment, view.placement
    eligible = assortment.open_at(view.now, in_stock=placement.in_stock)
    for condition in (placement.where, request.filters):
        if condition:
            eligible &= holds(condition, assortment)
    for rule in placement.rules:
        if rule.then == "hide" and rule.is_in_force(view.now):
            np.greater(eligible, holds(rule.when, assortment), out=eligible)  # eligible and not hidden
    if placement.respects_graph:
        eligible &= visible_places(assortment, profile.neighbours or NOBODY)
    left_out = (*profile.hidden_ids, *request.exclude_item_ids)
    if request.like_item_id is not None:  # it is on the page already that asks for what is like it
        left_out = (*left_out, request.like_item_id)
    if left_out:
        eligible[assortment.places(left_out)] = False
    if profile.met_ids:
        eligible[_met_already(view, profile)] = False
    return eligible


def _met_already(view: View, profile: Profile) -> Int32Array:
    """Where the items met are that the placement does not repeat; an empty list says something of none."""
    repeats, places = view.placement.repeats, view.assortment.places(profile.met_ids)
    hidden = np.full(len(places), repeats.default == "hide")
    if repeats.default == "hide" and repeats.show:
        hidden &= ~holds_at(repeats.show, view.assortment, places)
    if repeats.hide:
        hidden |= holds_at(repeats.hide, view.assortment, places)
    found: Int32Array = places[hidden]
    return found
