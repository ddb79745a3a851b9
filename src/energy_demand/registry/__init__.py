"""Registered versions: MLflow, the champion's files as text and JSON, and the copy kept on this machine."""
