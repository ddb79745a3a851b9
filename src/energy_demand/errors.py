"""The failures that a person can meet."""

from __future__ import annotations


class UserError(Exception):
    """Its message is one line that names the input, says what was kept, and what to do.

    The command prints it and exits with 1; anything else that is raised is a fault of the program.
    """
