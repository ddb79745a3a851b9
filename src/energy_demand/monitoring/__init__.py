"""What is watched: data drift, concept drift, forecast performance, when to retrain, and metrics."""
