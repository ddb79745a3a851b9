"""Open-Meteo: the archive, the forecast and single model runs (`answers`, `query`)."""
