"""The container images: their build, the lock files they install from, and what is in them."""
