"""Placements as data: where recommendations are shown, and by what rules."""
