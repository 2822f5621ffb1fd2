"""Eligibility: which items may be in this list at all. What is not eligible is left out, never ranked lower."""

import numpy as np

from feature_store.arrays import BoolArray
from serving.placements.conditions import Condition, holds
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
            eligible &= ~holds(rule.when, assortment)
    if placement.respects_graph:
        eligible &= visible_places(assortment, profile.neighbours or NOBODY)
    eligible[assortment.places(profile.hidden_ids)] = False
    eligible[assortment.places(request.exclude_item_ids)] = False
    if request.like_item_id is not None:  # it is on the page already that asks for what is like it
        eligible[assortment.places([request.like_item_id])] = False
    return eligible & ~_met_already(view, profile)


def _met_already(view: View, profile: Profile) -> BoolArray:
    """The items met that the placement does not repeat."""
    repeats, assortment = view.placement.repeats, view.assortment
    met = np.zeros(len(assortment), np.bool_)
    met[assortment.places(profile.met_ids)] = True
    if repeats.default == "hide":
        return met & ~_is_said(repeats.show, view) | met & _is_said(repeats.hide, view)
    return met & _is_said(repeats.hide, view)


def _is_said(condition: Condition, view: View) -> BoolArray:
    """For which items a list says something; an empty condition is about none."""
    return holds(condition, view.assortment) if condition else np.zeros(len(view.assortment), np.bool_)
