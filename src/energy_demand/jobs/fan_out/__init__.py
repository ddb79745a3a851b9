"""Long jobs cut into independent parts: where the parts run, and how finished ones are kept."""
