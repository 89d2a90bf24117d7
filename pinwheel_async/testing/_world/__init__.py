"""Made-up data: people, companies, pay, and what clients created."""
