"""The inspector: pages on which one sees what a receiver has stored, and acts on it."""
