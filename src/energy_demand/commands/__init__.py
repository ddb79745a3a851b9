"""The commands: each reads the settings, calls one job and prints the result. `cli` registers them."""
