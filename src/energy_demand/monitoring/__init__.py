"""What is watched: the metrics that Prometheus scrapes."""
