"""The pages: file, title and icon, in the order of the menu."""

from __future__ import annotations

TITLES = {
    "overview": ("Overview", "bolt"),
    "peaks": ("Peaks", "landscape"),
    "scenario": ("Scenario", "tune"),
    "weather_normalised": ("Weather-normalised", "thermostat"),
    "model_performance": ("Model Performance", "monitoring"),
    "drift_monitor": ("Drift Monitor", "airwave"),
    "training_history": ("Training History", "history"),
    "feature_importance": ("Feature Importance", "bar_chart"),
}
