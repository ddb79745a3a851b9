"""Figures that several rooms share: limits above which data or a model is called wrong, and ports."""

from __future__ import annotations

import math

DRIFT_SHARE_THRESHOLD = 0.3  # share of drifted columns, the mean over their groups
PERFORMANCE_MAE_THRESHOLD = 1500.0  # MWh, of New York; see `mae_limit_mwh`
NEW_YORK_CODES = frozenset({"NY", "NYIS"})

# Where `energy-demand local` starts the servers of others, unless an option names another port.
MLFLOW_PORT, PREFECT_PORT = 5000, 4200

# Days of the contest: those that a challenger's judged fit leaves out, those in the shadow at most, and
# after a promotion those in which it can be undone by itself.
HOLDOUT_DAYS, SHADOW_DAYS, PROBATION_DAYS = 28, 28, 28


def mae_limit_mwh(respondent: str) -> float:
    """The MAE above which a region's model is called wrong, MWh.

    The limit is of New York's size and says nothing of another region, where the ratio to the champion's
    holdout error counts alone.
    """
    return PERFORMANCE_MAE_THRESHOLD if respondent in NEW_YORK_CODES else math.inf
