"""What solar panels behind the meter generate: demand plus this is the gross load. Pure.

generation = installed capacity × performance × radiation / 1,000 W/m², the yield by radiation alone: what
tilt, temperature and snow do to it is left to the coefficients of the adaptive regression, which walk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from energy_demand.data.weather_path import MAIN_RADIATION, REST_RADIATION, WeatherPath

if TYPE_CHECKING:
    from energy_demand.arrays import Floats
    from energy_demand.region import Region, RooftopSolar

# Energy of a panel per rated energy: dirt, wires and the inverter (PVWatts 5, Dobos 2014: 14 % and 4 %).
PERFORMANCE = 0.8
RATED_RADIATION = 1000.0  # W/m²
# A trend of installation is not followed further than this beyond the newest figure.
LONGEST_TREND_DAYS = 730.0


def rooftop_generation(path: WeatherPath, region: Region) -> Floats:
    """MWh of each hour of a path; 0 where the region's capacity, or an hour's radiation, is not known.

    With paths side by side (a third axis of its values), hours × paths.
    """
    solar = region.rooftop_solar
    main, rest = path.column(MAIN_RADIATION), path.column(REST_RADIATION)
    if solar is None:
        return np.zeros(main.shape)
    radiation = solar.main_share * main + (1.0 - solar.main_share) * rest
    per_megawatt = PERFORMANCE * np.nan_to_num(radiation) / RATED_RADIATION
    return np.asarray((installed_mw(path.periods, solar) * per_megawatt.T).T)


def installed_mw(periods: pd.DatetimeIndex, solar: RooftopSolar) -> Floats:
    """Capacity of each hour by the figures that were published by then, their last growth continued."""
    begin = pd.Timestamp(solar.capacity_mw[0][0], tz="UTC")
    figures = [(pd.Timestamp(day, tz="UTC"), megawatts) for day, megawatts in solar.capacity_mw]
    days = np.array([(day - begin) / pd.Timedelta(days=1) for day, _ in figures])
    logs = np.log([megawatts for _, megawatts in figures])
    now = np.asarray((periods - begin) / pd.Timedelta(days=1), dtype=float)
    newest = np.searchsorted(days + solar.published_after_days, now, side="right") - 1
    newest = np.maximum(newest, 1)  # before the second figure the first growth holds
    growth = (logs[newest] - logs[newest - 1]) / (days[newest] - days[newest - 1])
    since = np.minimum(now - days[newest], LONGEST_TREND_DAYS)
    return np.asarray(np.exp(logs[newest] + growth * since))
