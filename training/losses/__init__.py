"""Losses of a client's scores: implicit quadratic, softmax (full and sampled) and logistic (full and sampled)."""
