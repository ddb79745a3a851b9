"""The base booster: LightGBM on the twenty columns, for callers with nothing else. Pure."""
