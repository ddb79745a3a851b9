"""The peaks of a region from the database, for the API: a day's probabilities and the alerted days."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from energy_demand.database.embedded import EmbeddedServerError
from energy_demand.database.engine import Database, DatabaseUnavailableError, open_database
from energy_demand.jobs.peaks import peaks_body
from energy_demand.monitoring.stored_peaks import stored_year
from energy_demand.serving.forecasts import STATEMENT_SECONDS
from energy_demand.serving.work import WorkThread
from energy_demand.timeaxis import local_day

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date, datetime

    import sqlalchemy as sa

    from energy_demand.config import Settings
    from energy_demand.model.day_peak import DayPeak
    from energy_demand.model.forecast import Forecast

MOST_WAITING = 8

T = TypeVar("T")


class Peaks:
    """Reads peaks in a thread of its own. All methods but `_read` belong to the event loop's thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._thread = WorkThread("peaks", MOST_WAITING)
        self._database: Database | None = None

    async def body(
        self, settings: Settings, now: datetime, day: date, forecast: Forecast | None = None
    ) -> dict[str, Any]:
        """The body of `GET /peaks`; see `peaks_body`.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            TooBusyError: too many requests are waiting.
        """
        return await self._run(lambda connection: peaks_body(connection, settings.region, now, day, forecast))

    async def alerted(self, settings: Settings, now: datetime) -> list[DayPeak]:
        """The alerted days of this year up to tomorrow.

        Raises:
            DatabaseUnavailableError: the database cannot be reached.
            TooBusyError: too many requests are waiting.
        """
        region = settings.region
        today = local_day(now, region.zone)
        years = sorted({today.year, (today + timedelta(days=1)).year})
        found = await self._run(
            lambda connection: [peak for year in years for peak in stored_year(connection, region, year, now)]
        )
        return [peak for peak in found if peak.alert]

    def close(self) -> None:
        """Wait for what is being read, and give the connections back."""
        self._thread.close()
        if self._database is not None:
            self._database.close()

    async def _run(self, work: Callable[[sa.Connection], T]) -> T:
        return await self._thread.run(lambda: self._read(work))

    def _read(self, work: Callable[[sa.Connection], T]) -> T:
        try:
            if self._database is None:
                self._database = open_database(
                    self._settings, migrate_now=False, read_only=True, statement_seconds=STATEMENT_SECONDS
                )
            with self._database.transaction() as connection:
                return work(connection)
        except (DatabaseUnavailableError, EmbeddedServerError):
            # An embedded database may come back at another address: opened again next time.
            if self._database is not None:
                self._database.close()
                self._database = None
            raise
