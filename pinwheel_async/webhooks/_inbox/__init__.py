"""Inboxes: deliveries are stored before they are acknowledged."""
