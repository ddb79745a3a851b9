"""What a stored model says of itself, and the refusal of one that does not fit."""

from __future__ import annotations

from energy_demand.errors import UserError

MANIFEST_FILE = "manifest.json"
BASE_FILE = "base_booster.txt"


class ModelRefusedError(UserError, RuntimeError):
    """Stored model files that are damaged or made for another program; nothing was loaded."""
