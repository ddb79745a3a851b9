"""The base of every error that is shown to a user."""

from __future__ import annotations


class UserError(Exception):
    """An error whose message is one line: it names the input, what was kept, and what to do.

    The command line prints the message and exits with 1. Any other exception is a bug.
    """


class RegionError(UserError):
    """A region that is unknown, or a file of regions that cannot be used.

    No ValueError, which pydantic would wrap in its own.
    """
