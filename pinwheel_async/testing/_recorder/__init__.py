"""Recorder of API traffic: a proxy that writes scrubbed cassettes, and a server that plays them."""
