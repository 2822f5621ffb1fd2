"""Proposing: each source of a placement is asked once."""

from serving.candidates import Candidates
from serving.placements.settings import (
    FreshSource,
    GraphSource,
    NewAuthorsSource,
    PersonalSource,
    PinnedSource,
    PopularSource,
    SimilarSource,
    SourceSettings,
)
from serving.sources.asked import Asked
from serving.sources.fresh import fresh
from serving.sources.graph import graph
from serving.sources.known import personal, popular, similar
from serving.sources.new_authors import new_authors
from serving.sources.pinned import pinned


def propose(asked: Asked, source: SourceSettings, depth: int) -> Candidates:
    """At most `depth` eligible items of that source, best first."""
    match source:
        case PersonalSource():
            found = personal(asked, depth)
        case PopularSource():
            found = popular(asked, depth)
        case FreshSource():
            found = fresh(asked, source, depth)
        case SimilarSource():
            found = similar(asked, depth)
        case GraphSource():
            found = graph(asked, depth)
        case NewAuthorsSource():
            found = new_authors(asked, source, depth)
        case PinnedSource():
            found = pinned(asked, source)
    return found
