"""The data sets of the tables: how each is read, and by what its recommenders are chosen and judged."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from training.evaluation import Scorer, evaluate
from training.interactions import read_interactions
from training.sampled_evaluation import evaluate_sampled
from training.split import Split
from training.split_folder import read_split_folder
from training.split_global import Cuts, Repeats, cuts_by_share, split_by_date
from training.split_leave_one_out import read_leave_one_out
from training.split_rule import SplitRule

VALIDATION_PEOPLE = 2000


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a recommender is asked on a data set.

    tuning: the split whose train part settings are tried on.
    final: the split whose train part the chosen ones are trained on; often the same.
    on_valid: what settings are chosen by, from a scorer of all items; higher is better.
    on_test: what is reported, by the names of the figures, the first of which counts most.
    """

    tuning: Split
    final: Split
    on_valid: Callable[[Scorer], float]
    on_test: Callable[[Scorer], Mapping[str, float]]


class DataSet(NamedTuple):
    """A column of the tables.

    name: by which it is asked for.
    title: what the page calls it, with its protocol.
    figures: what is reported; the first counts most.
    read: from the folder of all data sets to the task.
    """

    name: str
    title: str
    figures: tuple[str, ...]
    read: Callable[[Path], Task]


def full_ranking(split: Split) -> Task:
    """Rank all items; chosen by NDCG@20 on valid."""
    items, final = len(split.vocabulary), split.judged

    def on_valid(score: Scorer) -> float:
        return evaluate(score, items, split.valid, split.met_before_valid, VALIDATION_PEOPLE).ndcg

    def on_test(score: Scorer) -> Mapping[str, float]:
        return evaluate(score, items, final.test, final.met_before_test).figures()

    return Task(split, final, on_valid, on_test)


def leave_one_out(folder: Path) -> Task:
    """Rank one item among 99 others; chosen by HR@10 on a validation of the same form."""
    data = read_leave_one_out(folder)

    def on_valid(score: Scorer) -> float:
        return evaluate_sampled(score, data.tuning.valid, data.valid_negatives).hr_10

    def on_test(score: Scorer) -> Mapping[str, float]:
        return evaluate_sampled(score, data.final.test, data.test_negatives).figures()

    return Task(data.tuning, data.final, on_valid, on_test)


def _published(name: str) -> Callable[[Path], Task]:
    return lambda data: full_ranking(read_split_folder(data / name))


def _by_person(name: str) -> Callable[[Path], Task]:
    return lambda data: full_ranking(SplitRule().split(read_interactions(data / name / "interactions.csv.gz")))


def _purchases(repeats: Repeats) -> Callable[[Path], Task]:
    """Of returns the value, which is a quantity, is negative: they are no purchases."""

    def read(data: Path) -> Task:
        interactions = read_interactions(data / "online_retail" / "interactions.csv.gz", min_value=1)
        return full_ranking(split_by_date(interactions, cuts_by_share(interactions), repeats))

    return read


def _news(data: Path) -> Task:
    """The last two days of the data that are whole, midnight in Brasília: one validates, one tests."""
    midnights = (datetime(2017, 10, day, 3, tzinfo=UTC).timestamp() for day in (15, 16))
    interactions = read_interactions(data / "globo_news" / "interactions.csv.gz")
    return full_ranking(split_by_date(interactions, Cuts(*midnights), "new"))


_FULL = ("ndcg@20", "recall@20", "hr@10", "coverage@20")
_SAMPLED = ("sampled_hr@10", "sampled_ndcg@10")

DATA_SETS = (
    DataSet("ml1m", "MovieLens-1M, published split", _FULL, _published("split_ml1m")),
    DataSet("lastfm", "Last.fm, published split", _FULL, _published("split_lastfm")),
    DataSet("ml100k", "MovieLens-100K, each person's last items", _FULL, _by_person("movielens_100k")),
    DataSet("retail-new", "Online Retail, by time, new items", _FULL, _purchases("new")),
    DataSet("retail-repeat", "Online Retail, by time, repeats too", _FULL, _purchases("repeat")),
    DataSet("news", "Globo news, by time, new items", _FULL, _news),
    DataSet("ncf", "MovieLens-1M, one item among 99", _SAMPLED, lambda data: leave_one_out(data / "movielens_1m_ncf")),
)
