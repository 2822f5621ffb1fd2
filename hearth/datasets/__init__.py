"""Public data sets: where each is taken from, and its files in the general form that Hearth reads."""
