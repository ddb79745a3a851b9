"""From upstream responses to features: clients, quality checks, ingestion, history, feature building."""
