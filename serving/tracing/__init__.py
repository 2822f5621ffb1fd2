"""Traces: what a request went through and how long each step took, sent to an OpenTelemetry receiver."""
