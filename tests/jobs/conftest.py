"""Stored weeks and two registered versions for every test in here."""

from stored_weeks import _worse_serves, copied, database_url, filled, home, registry, retrainings, settings  # noqa: F401
