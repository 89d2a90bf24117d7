"""Sinks that write files, and the atomic replacement of a file."""
