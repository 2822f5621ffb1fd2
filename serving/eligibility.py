"""Eligibility: which items may be in this list at all. What is not eligible is left out, never ranked lower."""

import numpy as np

from feature_store.arrays import BoolArray, Int32Array
from serving.placements.conditions import Condition, holds, holds_at
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
    eligible[assortment.places(profile.hidden_ids)] = False
    eligible[assortment.places(request.exclude_item_ids)] = False
    if request.like_item_id is not None:  # it is on the page already that asks for what is like it
        eligible[assortment.places([request.like_item_id])] = False
    eligible[_met_already(view, profile)] = False
    return eligible


def _met_already(view: View, profile: Profile) -> Int32Array:
    """Where the items met are that the placement does not repeat."""
    repeats, places = view.placement.repeats, view.assortment.places(profile.met_ids)
    hidden = _is_said(repeats.hide, view, places)
    if repeats.default == "hide":
        hidden |= ~_is_said(repeats.show, view, places)
    return places[hidden]


def _is_said(condition: Condition, view: View, places: Int32Array) -> BoolArray:
    """Of which of those places a list says something; an empty condition is about none."""
    return holds_at(condition, view.assortment, places) if condition else np.zeros(len(places), np.bool_)
