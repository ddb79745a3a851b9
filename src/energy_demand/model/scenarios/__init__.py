"""Forecasts under other weather or on another kind of day: what would demand be if …? Pure."""
