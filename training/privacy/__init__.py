"""User-level differential privacy of training: two bounded sums from everybody, noised, and all else from those."""
