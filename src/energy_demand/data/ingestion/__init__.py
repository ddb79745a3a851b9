"""Fetch, check, store: from the upstreams' answers to rows of the database."""
