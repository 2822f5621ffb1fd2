"""The composition root: the command line and the demo."""
