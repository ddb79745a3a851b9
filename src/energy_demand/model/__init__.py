"""The forecasting model: fitting and forecasting. Pure: data in, data out, no I/O."""
