"""From an HTTP request to a ranked list."""
