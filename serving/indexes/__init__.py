"""Indexes of item vectors: the k items with the largest products, by different means behind one protocol."""
