"""Prefect flows and their schedules."""
