"""Logged forecasts, demand and scores as tables: the same filters and columns in the API and the shell."""
