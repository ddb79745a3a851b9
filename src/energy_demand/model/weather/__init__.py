"""The weather that a forecast uses: gaps filled, forecasts corrected, uncertainty estimated. Pure."""
