"""The HTTP service: predictions, forecasts, which model serves; and the log of every answer."""
