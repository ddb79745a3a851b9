"""The limits above which data or a model is called wrong; monitoring, dashboard and alerts share them."""

from __future__ import annotations

DRIFT_SHARE_THRESHOLD = 0.3  # share of drifted columns, the mean over their groups
PERFORMANCE_MAE_THRESHOLD = 1500.0  # MWh
