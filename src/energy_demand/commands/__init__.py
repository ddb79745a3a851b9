"""What each command does: read settings, call one job, say what happened. `cli` gives them their names."""
