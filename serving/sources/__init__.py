"""Candidate sources: where the items of a list come from, each a function of what is asked."""
