"""The three stages of the forecaster and the columns that they see. Pure."""
