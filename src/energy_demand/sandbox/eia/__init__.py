"""EIA: the API v2 (`answers`, `query`) and the six-month files (`bulk`)."""
