"""Maintenance of a finished copy: status, export, purge."""
