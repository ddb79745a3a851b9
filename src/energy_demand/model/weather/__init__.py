"""The weather that a forecast goes by: completed, corrected, and how uncertain it is. Pure."""
