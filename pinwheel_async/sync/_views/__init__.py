"""Views of a copy: what they are, and how they are made and kept."""
