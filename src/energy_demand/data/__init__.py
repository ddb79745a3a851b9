"""From upstream answers to features: clients, quality, ingestion, history, feature building."""
