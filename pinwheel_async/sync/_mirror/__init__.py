"""Mirror: a copy that follows the webhooks."""
