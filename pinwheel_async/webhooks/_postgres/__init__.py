"""Inbox in PostgreSQL, for receivers and workers on any number of machines."""
