"""History of a copy: what was new, changed and removed when, and what was there at a moment."""
