"""Readiness: which products of an account have arrived, out of events."""
