"""The column names that several rooms share: Open-Meteo's variables and the base feature columns."""

from __future__ import annotations

# Open-Meteo's hourly variables and their units; water and radiation are of the hour before.
WEATHER_UNITS = {
    "temperature_2m": "°C",
    "relative_humidity_2m": "%",
    "dew_point_2m": "°C",
    "apparent_temperature": "°C",
    "precipitation": "mm",
    "rain": "mm",
    "snowfall": "cm",
    "cloud_cover": "%",
    "wind_speed_10m": "km/h",
    "wind_gusts_10m": "km/h",
    "surface_pressure": "hPa",
    "shortwave_radiation": "W/m²",
}
WEATHER_VARIABLES = tuple(WEATHER_UNITS)

WEATHER_COLUMNS = (
    "temperature",
    "apparent_temperature",
    "humidity",
    "wind_speed",
    "cloud_cover",
    "solar_radiation",
    "precipitation",
)
CALENDAR_COLUMNS = ("hour_of_day", "day_of_week", "month", "is_weekend", "is_holiday")
DEMAND_COLUMNS = (
    "demand_lag_1h",
    "demand_lag_24h",
    "demand_lag_168h",
    "demand_rolling_mean_24h",
    "demand_rolling_std_24h",
)
DERIVED_COLUMNS = ("temp_squared", "cooling_degree_hours", "heating_degree_hours")

# The twenty, in the order that models and callers rely on; a list, as `frame[FEATURE_COLUMNS]` needs one.
FEATURE_COLUMNS = [*WEATHER_COLUMNS, *CALENDAR_COLUMNS, *DEMAND_COLUMNS, *DERIVED_COLUMNS]
LEAD = "lead_hours"
TARGET_COLUMN = "demand_mwh"

# The values of a forecast's `quality`, from the best step of the fallback ladder to the last.
ANSWERS = ("champion", "champion_without_weather", "previous_champion", "base_booster", "last_week")
# What the whole forecaster of its version answered, with all of the weather or with some of it missing; every
# other step is a fallback, whose errors say nothing about the champion.
OWN_ANSWERS = ANSWERS[:2]

# Of the grid operator's own forecast: whose it is, and the name of the whole system among the zones.
OPERATOR, SYSTEM = "nyiso", "NYISO"
