"""Access: who may ask what, how often, and what a server does before more is asked than it can answer."""
