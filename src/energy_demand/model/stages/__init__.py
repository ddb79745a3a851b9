"""The three stages of the forecaster and their feature columns. Pure."""
