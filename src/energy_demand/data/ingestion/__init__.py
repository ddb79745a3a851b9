"""Fetch, check, store: from upstream responses to database rows."""
