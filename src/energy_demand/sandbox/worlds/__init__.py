"""What there is to serve: a recorded folder, or a synthetic world as a pure function of its seed."""
