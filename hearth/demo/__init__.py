"""The demo: the whole way of the data, on MovieLens-100K, on one machine."""
