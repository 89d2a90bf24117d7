"""Webhooks that the fake sends, from the scenario to the wire."""
