"""Side-by-side measurements, each beside a peer in the same run."""
