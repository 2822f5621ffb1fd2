"""Workers: one server as several processes on one address, which share the items and tell each other what came in."""
