"""Retraining on a schedule: one run over cells, a gate, a report; the next one when its time has come."""
