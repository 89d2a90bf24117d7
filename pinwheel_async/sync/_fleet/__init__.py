"""Sync runs that several processes share, as rows in the database of the copy."""
