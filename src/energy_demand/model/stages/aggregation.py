"""Online aggregation: several forecasts of the same hours, mixed by how well each did so far. Pure.

Bernstein online aggregation (Wintenberger 2017, doi 10.1007/s10994-016-5592-6) of the absolute error, made
linear at the mixture's own forecast, with discounted regrets, each clock hour apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from energy_demand.arrays import Floats, Integers

# Experts that differ by more than this did not differ by demand: one broken hour decides nothing.
LARGEST_REGRET = 5.0  # percent


def weights_of(regrets: Floats, rate: float) -> Floats:
    """Clock hours × experts: the weight of each expert, summing to one at each clock hour.

    Args:
        regrets: clock hours × experts; 0 everywhere gives equal weights.
        rate: how fast regrets become weights, per percent.
    """
    exponent = rate * regrets
    raised = np.exp(exponent - exponent.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def aggregate(
    regrets: Floats,
    forecasts: Floats,
    actual: Floats,
    hours: Integers,
    batches: list[slice],
    rate: float,
    forgetting: float,
) -> tuple[Floats, Floats]:
    """Mix the experts' forecasts of each hour by the regrets before it, then learn the hour.

    Args:
        regrets: before these hours, clock hours × experts.
        forecasts: experts × ages × hours, percent; age 0 is one day old. A forecast of an age is mixed by
            weights as old as itself.
        actual: by hour, percent; NaN where unknown, from which nothing is learnt.
        hours: the clock hour of each hour.
        batches: runs of consecutive hours without a repeated clock hour, in order.
        rate: see `weights_of`.
        forgetting: of the regrets, per day.

    Returns:
        The regrets after these hours, and the mixture, ages × hours.
    """
    regrets = regrets.copy()
    ages = forecasts.shape[1]
    mixture = np.empty(forecasts.shape[1:])
    history = np.repeat(weights_of(regrets, rate)[None], ages, axis=0)  # newest first
    for batch in batches:
        clock = hours[batch]
        experts = forecasts[:, :, batch]
        mixture[:, batch] = np.einsum("ahk,kah->ah", history[:, clock], experts)
        error = mixture[0, batch] - actual[batch]
        known = ~np.isnan(error)
        regret = np.sign(error) * (mixture[0, batch] - experts[:, 0])
        regret = np.clip(regret, -LARGEST_REGRET, LARGEST_REGRET)
        learnt = (1.0 - forgetting) * regrets[clock] + (regret - rate * regret**2).T
        regrets[clock] = np.where(known[:, None], learnt, regrets[clock])
        history[1:, clock] = history[:-1, clock].copy()
        history[0, clock] = weights_of(regrets[clock], rate)
    return regrets, mixture
