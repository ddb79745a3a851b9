"""A simulation of both upstream APIs. It imports nothing from the rest of the project."""
