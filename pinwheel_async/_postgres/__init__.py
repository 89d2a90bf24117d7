"""What a sink and an inbox in PostgreSQL have in common."""
