"""The report of a training run: what people see of it."""
