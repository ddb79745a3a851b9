"""energy-demand: an honest day-ahead forecast of hourly electricity demand.

Importing the package touches nothing: no file, no network, no database, no clock.
"""

__version__ = "0.1.0"
