"""The page of a study: its trials, which settings decided, and what was chosen."""

from collections.abc import Mapping
from itertools import accumulate

from hearth.report.charts import Line, curves
from hearth.report.document import document
from hearth.report.markup import Markup, element
from hearth.report.tables import bar, card, change, table
from hearth.search_space import Value
from hearth.tuned import Tried, Tuned

_MOST_ROWS = 25


def tuning_page(tuned: Tuned) -> bytes:
    """The report of a study."""
    cards = (
        card(f"{tuned.best:.4f}", "best NDCG@20, validation", f"trial {tuned.best_trial}"),
        card(f"{tuned.start:.4f}", "where it started", f"the best is {change(tuned.best, tuned.start)} on it"),
        card(f"{len(tuned.trials):,}", "trials", f"{sum(x.outcome == 'complete' for x in tuned.trials):,} to the end"),
    )
    told = (
        "Each trial is a training with settings of its own, judged by the best NDCG@20 of its rounds on the validation "
        "items. The test items have no part in this. The best of many trials on the same validation items is a little "
        "too good to be true of others: judge the outcome with "
    )
    body = (
        element("h1", "Tuning"),
        element("p", told, element("code", "hearth evaluate"), ".", class_="muted"),
        element("div", *cards, class_="cards"),
        element("div", _curve(tuned), class_="charts"),
        *_importance(tuned.importance),
        element("h2", "Trials"),
        _trials(tuned),
        element("h2", "Settings"),
        element("p", "What the best trial was of, as ", element("code", "hearth train --config"), " takes it."),
        element("pre", tuned.settings.model_dump_json(indent=2)),
    )
    return document("Tuning", *body)


def _curve(tuned: Tuned) -> Markup:
    there = [(trial.number, trial.ndcg) for trial in tuned.trials if trial.ndcg is not None]
    complete = [(x.number, x.ndcg) for x in tuned.trials if x.outcome == "complete" and x.ndcg is not None]
    each = Line("each trial, pruned ones to where they were", [n for n, _ in there], [v for _, v in there], dots=True)
    best = Line("best so far", [n for n, _ in complete], list(accumulate((v for _, v in complete), max)))
    title = "NDCG@20 on the validation items"
    return curves("trials", title, "NDCG@20", each, best, marked=tuned.best_trial, mark="best", across="trial")


def _importance(importance: Mapping[str, float]) -> tuple[Markup, ...]:
    title = element("h2", "Which settings decided")
    if not importance:
        return (title, element("p", "There are too few trials to tell."))
    most = max(importance.values())
    rows = ([name, bar(share, most, f"{share:.0%}")] for name, share in importance.items())
    return (title, table("Share of importance (PED-ANOVA), over the ranges tried", ("setting", "share"), rows))


def _trials(tuned: Tuned) -> Markup:
    ranked = sorted(tuned.trials, key=lambda trial: (trial.outcome == "complete", trial.ndcg or 0.0), reverse=True)
    names = list(ranked[0].values)
    largest = max(trial.ndcg or 0.0 for trial in ranked)

    def row(trial: Tried) -> list[str]:
        ndcg = "-" if trial.ndcg is None else bar(trial.ndcg, largest)
        started = " (start)" if trial is tuned.trials[0] else ""
        return [f"{trial.number}{started}", trial.outcome, ndcg, *(shortly(trial.values[name]) for name in names)]

    shown = ranked[:_MOST_ROWS]
    caption = f"The {len(shown)} best of {len(ranked)} trials" if len(shown) < len(ranked) else "All trials, best first"
    return table(caption, ("trial", "outcome", "NDCG@20", *names), map(row, shown))


def shortly(value: Value) -> str:
    """A value to four figures.

    >>> shortly(0.0123456), shortly(64)
    ('0.01235', '64')
    """
    return str(value) if isinstance(value, int) else f"{value:.4g}"
