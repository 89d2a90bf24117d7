"""Subscriptions: the webhooks that are registered at the API, and how they should be."""
