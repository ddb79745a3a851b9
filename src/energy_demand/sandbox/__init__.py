"""Somebody else's servers: a stand-in for both upstream APIs. It imports nothing of the rest."""
