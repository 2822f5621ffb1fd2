"""Compression: rounds of fewer bytes, whose sums still add under masks (docs/communication.md)."""
