"""What a server counts and measures. No label is ever made from a person, an item or an address that was asked for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

Collector = TypeVar("Collector", Counter, Histogram)

_AT_HAND = 1024  # children of one collector; others are looked up

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_REQUEST = ("route", "placement", "status")  # route: its template, or "unknown"; placement: a configured one, or ""

_LIST = ("placement", "model_id")
_ORIGIN = ("placement", "model_id", "arm")  # arm: of experiments, as configured; "" for none
_TENTHS = tuple(round(0.1 * tenth, 1) for tenth in range(1, 11))
_RECALLS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 1.0)
_HOURS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 24.0, 72.0, 168.0, 720.0, 8760.0)


@dataclass(frozen=True, slots=True, eq=False)
class Metrics:
    """The collectors of one app, in a registry of their own: two apps in one process do not add up."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    candidates: Counter
    degraded: Counter
    events: Counter
    fold_ins: Counter
    model_info: Gauge
    swaps: Counter
    trials_stopped: Counter
    trial_overlap: Histogram
    shown: Counter
    clicked: Counter
    lists: Counter
    empty_lists: Counter
    shown_items: Gauge
    catalogue_items: Gauge
    catalogue_stale: Gauge
    catalogue_unreadable: Gauge
    list_diversity: Histogram
    list_age: Histogram
    index_recall: Histogram
    ad_events: Counter
    turned_away: Counter
    file_loads: Counter
    store_paused: Gauge
    ads_paused: Gauge


def create_metrics() -> Metrics:
    """Collectors that have counted nothing yet."""
    registry = CollectorRegistry()
    metrics = Metrics(
        registry=registry,
        requests=Counter("hearth_requests", "Requests, errors included", _REQUEST, registry=registry),
        seconds=Histogram(
            "hearth_request_seconds",
            "From the first byte of a request to the last of its reply, errors included",
            _REQUEST,
            buckets=_SECONDS,
            registry=registry,
        ),
        candidates=Counter("hearth_candidates", "Items in replies, by their source", ("source",), registry=registry),
        degraded=Counter("hearth_degraded", "Replies that lacked something", ("reason",), registry=registry),
        events=Counter("hearth_events", "Events received, by what became of them", ("outcome",), registry=registry),
        fold_ins=Counter("hearth_fold_ins", "People folded in after their events", ("outcome",), registry=registry),
        model_info=Gauge(
            "hearth_model_info", "1 for the checkpoint in that stage", ("stage", "model_id"), registry=registry
        ),
        ad_events=Counter(
            "hearth_ad_events", "Impressions and clicks of ads, by what became of them", ("outcome",), registry=registry
        ),
        trials_stopped=Counter("hearth_trials_stopped", "Trials that a guardrail ended", registry=registry),
        trial_overlap=Histogram(
            "hearth_trial_overlap",
            "Of lists that the model on trial made for nobody: the part of production's list that is in them",
            buckets=_TENTHS,
            registry=registry,
        ),
        shown=Counter(
            "hearth_shown", "Items of replies that were seen, as impressions tell", _ORIGIN, registry=registry
        ),
        clicked=Counter("hearth_clicked", "Items of replies that interest was shown in", _ORIGIN, registry=registry),
        lists=Counter("hearth_lists", "Replies with a list", _LIST, registry=registry),
        empty_lists=Counter("hearth_empty_lists", "Replies whose list is empty", _LIST, registry=registry),
        shown_items=Gauge(
            "hearth_shown_items", "Different items in the lists since the model came", _LIST, registry=registry
        ),
        catalogue_items=Gauge("hearth_catalogue_items", "Items that there are to show", _LIST, registry=registry),
        catalogue_stale=Gauge(
            "hearth_catalogue_stale",
            "1 while the catalogue cannot be read, and lists are of what it said before",
            ("vertical",),
            registry=registry,
        ),
        catalogue_unreadable=Gauge(
            "hearth_catalogue_unreadable_items",
            "Items of the catalogue that cannot be read, and are not shown",
            ("vertical",),
            registry=registry,
        ),
        list_diversity=Histogram(
            "hearth_list_diversity",
            "1 - the mean cosine between items of a list",
            _LIST,
            buckets=_TENTHS,
            registry=registry,
        ),
        list_age=Histogram(
            "hearth_list_age_hours", "Mean age of the items of a list", _LIST, buckets=_HOURS, registry=registry
        ),
        index_recall=Histogram(
            "hearth_index_recall",
            "Of the items with the best products, the part that the index found; of replies that were probed",
            _LIST,
            buckets=_RECALLS,
            registry=registry,
        ),
        swaps=Counter("hearth_model_swaps", "Changes of the model of a stage", ("stage", "outcome"), registry=registry),
        turned_away=Counter(
            "hearth_turned_away", "Requests refused before they were looked at, by why", ("reason",), registry=registry
        ),
        file_loads=Counter(
            "hearth_file_loads", "Changes of watched files, by what they are", ("file", "outcome"), registry=registry
        ),
        store_paused=Gauge(
            "hearth_store_paused", "1 while the store of people is not asked, as it failed", ("way",), registry=registry
        ),
        ads_paused=Gauge(
            "hearth_ads_paused", "1 while the books of ads are not asked, as they failed", registry=registry
        ),
    )
    for outcome in ("success", "failure"):
        metrics.swaps.labels("production", outcome)  # an alert on the first failure needs the 0 before it
    return metrics


def at_hand(collector: Collector) -> Callable[..., Collector]:
    """The collector's `labels`, which finds the children asked for lately without its lock; none may be removed."""
    return lru_cache(maxsize=_AT_HAND)(collector.labels)
