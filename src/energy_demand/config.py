"""Settings: one typed object, read once at the edge and passed down.

The only module that looks at the environment. Importing it reads nothing; `load_settings` does. One file,
because the settings and what is set for other programs concern the same variables.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from energy_demand.columns import FEATURE_COLUMNS, TARGET_COLUMN
from energy_demand.env_file import ENCODING, EnvFileError, read_env_file
from energy_demand.errors import RegionError, UserError
from energy_demand.limits import DRIFT_SHARE_THRESHOLD, PERFORMANCE_MAE_THRESHOLD
from energy_demand.notification_settings import Kind, QuietHours, notifiers
from energy_demand.proxies import unusable_proxies, without_loopback
from energy_demand.region import NEW_YORK_CITY, UPSTATE_SITES, Region, Site, existing_zone
from energy_demand.setting_names import mistyped
from energy_demand.timeaxis import Availability, parse_moment, to_utc
from energy_demand.weather_models import ECMWF, WeatherModel

if TYPE_CHECKING:
    from collections.abc import Mapping

# Callers import these from here; the columns and the limits are defined where the pure core reads them too.
__all__ = [
    "DRIFT_SHARE_THRESHOLD",
    "FEATURE_COLUMNS",
    "FORECAST_HORIZON_HOURS",
    "MLFLOW_EXPERIMENT_NAME",
    "MODEL_NAME",
    "PERFORMANCE_MAE_THRESHOLD",
    "TARGET_COLUMN",
    "MissingKeyError",
    "Settings",
    "SettingsError",
    "load_settings",
]

MLFLOW_EXPERIMENT_NAME = "energy-demand-forecast"
MODEL_NAME = "energy-demand-lgbm"
CHAMPION_ALIAS = "champion"
FORECAST_HORIZON_HOURS = 24

EIA_KEY_MISSING = "EIA_API_KEY not set. Register at https://www.eia.gov/opendata/"

# A sandbox answers at once, and to as many calls as are made.
UNPACED = {
    "eia_request_interval_seconds": 0.0,
    "open_meteo_request_interval_seconds": 0.0,
    "nyiso_request_interval_seconds": 0.0,
    "publication_delay_hours": 1,
}
WITHOUT_LIMITS: dict[str, Any] = dict.fromkeys(
    ("open_meteo_calls_per_minute", "open_meteo_calls_per_hour", "open_meteo_calls_per_day")
)
HTTP_SCHEMES = ("http://", "https://")

TELEMETRY_OFF = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",  # it would write over our own lines
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # standard output is for what was asked
    "GIT_PYTHON_REFRESH": "quiet",  # MLflow asks for git, and an image has none
}
# What libraries of a serving process read when they are loaded. One request is too small to share out over
# threads, and whoever waits for MLflow waits seconds, not minutes.
SERVING_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
# Likewise of the dashboard, which takes its settings from the environment, as any script of Streamlit does.
DASHBOARD_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
}
# What another project's shell may have set for MLflow: it would lead our runs to another run, experiment or
# registry. Where a server is and how to log in to it stays.
FOREIGN_MLFLOW = (
    "MLFLOW_ACTIVE_MODEL_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
)
METRICS_FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# The daily check reads the scheduled forecasts of 32 days, each made up to two days before its hour.
LEAST_RETENTION_DAYS = 34

PUBLIC_URLS = {
    "eia_base_url": "https://api.eia.gov/v2/",
    "eia_bulk_url": "https://www.eia.gov/electricity/gridmonitor/sixMonthFiles/",
    "open_meteo_historical_url": "https://archive-api.open-meteo.com/v1/archive",
    "open_meteo_forecast_url": "https://api.open-meteo.com/v1/forecast",
    "open_meteo_single_runs_url": "https://single-runs-api.open-meteo.com/v1/forecast",
    "nyiso_forecast_url": "http://mis.nyiso.com/public/csv/isolf/",
}
# Where a paid plan asks instead.
PAID_URLS = {
    "open_meteo_historical_url": "https://customer-archive-api.open-meteo.com/v1/archive",
    "open_meteo_forecast_url": "https://customer-api.open-meteo.com/v1/forecast",
    "open_meteo_single_runs_url": "https://customer-single-runs-api.open-meteo.com/v1/forecast",
}
PAID_SANDBOX_PATHS = {
    "open_meteo_historical_url": "customer-archive/v1/archive",
    "open_meteo_forecast_url": "customer-forecast/v1/forecast",
    "open_meteo_single_runs_url": "customer-single-runs/v1/forecast",
}
SANDBOX_PATHS = {
    "eia_base_url": "eia/v2/",
    "eia_bulk_url": "eia/sixMonthFiles/",
    "open_meteo_historical_url": "archive/v1/archive",
    "open_meteo_forecast_url": "forecast/v1/forecast",
    "open_meteo_single_runs_url": "single-runs/v1/forecast",
    "nyiso_forecast_url": "public/csv/isolf/",
}


# The names under which EIA serves New York.
NEW_YORK_RESPONDENTS = frozenset({"NY", "NYIS"})
# The region whose names and folders have no code in them, because it was there first.
FIRST_REGION = "NY"
ALL_REGIONS = "all"
REGION_CODE = r"^[A-Z0-9]+$"
# What a region that is not in the catalogue needs.
PLACE = frozenset({"weather_tz", "weather_site", "weather_lat", "weather_lon", "weather_further_sites"})


class MissingKeyError(UserError, ValueError):
    """EIA's API is asked without a key."""


class SettingsError(UserError, ValueError):
    """A variable that cannot be used; the message names it, one line for each."""


def _moment(value: object) -> object:
    if isinstance(value, str):
        return parse_moment(value)
    return to_utc(value) if isinstance(value, datetime) else value


def _long_enough(days: int | None) -> int | None:
    if days is not None and days < LEAST_RETENTION_DAYS:
        raise ValueError(
            f"must be at least {LEAST_RETENTION_DAYS}, as monitoring and the dashboard read the predictions "
            f"of so many days, got {days}"
        )
    return days


def _listed(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _stripped(given: dict[str, Any]) -> dict[str, Any]:
    """Without the blanks and newlines that a copied value ends with; nothing but blanks is unset."""
    texts = {name: value.strip() for name, value in given.items() if isinstance(value, str)}
    return {name: texts.get(name, value) for name, value in given.items() if texts.get(name, value) != ""}


def _with_default_region(given: dict[str, Any]) -> dict[str, Any]:
    """With the first of EIA_REGIONS as the default region where EIA_REGION is not given."""
    listed = _listed(given.get("eia_regions"))
    if given.get("eia_region") or not isinstance(listed, (list, tuple)) or not listed:
        return given
    first = listed[0]
    if not isinstance(first, str) or not re.match(REGION_CODE, first):  # `all`, or its own check refuses it
        return given
    return {**given, "eia_region": first}


def _in_place(given: dict[str, Any]) -> dict[str, Any]:
    """With the region's entry in the catalogue where time zone, sites and country are not given.

    New York's entry is the defaults, so that nothing is read for it.
    """
    code, own = given.get("eia_region", "NY"), given.get("regions_file")
    if not isinstance(code, str) or not re.match(REGION_CODE, code):  # its own check refuses it
        return given
    if own is None and code in NEW_YORK_RESPONDENTS:
        return given
    from energy_demand.region_catalogue import find, read_regions, unknown_region  # noqa: PLC0415

    file = None if own is None else Path(own)
    if file is not None and not given.get("eia_regions"):
        read_regions(file)  # with several regions a fault in one entry is that region's alone
    entry = find(code, file)
    if entry is None:
        if given.keys() >= PLACE:
            return given
        raise unknown_region(code, file)
    first, *further = entry.sites
    return {
        "weather_tz": entry.zone,
        "weather_site": first.name,
        "weather_lat": first.latitude,
        "weather_lon": first.longitude,
        "weather_weight": first.weight,
        "weather_further_sites": tuple(further),
        "holiday_country": entry.country,
        **given,
    }


def _has_holidays(value: str) -> str:
    if value == "US":  # the default, for which nothing is imported
        return value
    from energy_demand.region_catalogue import has_holidays  # noqa: PLC0415

    if not has_holidays(value):
        raise ValueError(f"no holiday calendar of {value!r}; write two letters, like US")
    return value


def _one_word(value: SecretStr | None) -> SecretStr | None:
    text = "" if value is None else value.get_secret_value()
    if any(each.isspace() or not each.isprintable() for each in text):
        raise ValueError("a blank, newline or control character is in it; copy it again")
    return value


def _usable_urls(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        notifiers(value.get_secret_value())
    return value


def _quiet(value: object) -> object:
    return QuietHours.parse(value) if isinstance(value, str) else value


def _of_the_region(value: str | None, info: ValidationInfo) -> str | None:
    region = info.data.get("eia_region", "NY")
    if value is not None and region not in NEW_YORK_RESPONDENTS:
        raise ValueError(f"{value} forecasts New York alone, and EIA_REGION is {region}; leave it out")
    return value


def _codes(value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    """Codes of regions, the default region first; or `all` alone."""
    if value in ((), (ALL_REGIONS,)):
        return value
    if ALL_REGIONS in value:
        raise ValueError("`all` stands alone; leave the other regions out")
    for code in value:
        if not re.match(REGION_CODE, code):
            raise ValueError(f"{code!r} is not a region's code; write it in capitals, like NY,PJM")
        if value.count(code) > 1:
            raise ValueError(f"{code} is there twice; remove one")
    default = info.data.get("eia_region")
    if default is None:  # refused by its own check
        return value
    if default not in value:
        raise ValueError(
            f"EIA_REGION, the default region, is {default} and not among {','.join(value)}; add {default}, "
            "or leave EIA_REGION out"
        )
    return (default, *(code for code in value if code != default))


def _http_url(value: str) -> str:
    if not value.startswith(HTTP_SCHEMES):
        raise ValueError(f"{value!r} is no address; it starts with http:// or https://")
    return value


ZoneName = Annotated[str, AfterValidator(existing_zone)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
Moment = Annotated[datetime, BeforeValidator(_moment)]


class Settings(BaseSettings):
    """Everything that can be set, with its unit and default. Build it with `load_settings`."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True
    )

    eia_api_key: Annotated[SecretStr | None, AfterValidator(_one_word)] = Field(
        None, description="Key of EIA's API; free at eia.gov/opendata."
    )
    eia_region: str = Field("NY", pattern=REGION_CODE, description="EIA respondent.")
    eia_regions: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed), AfterValidator(_codes)] = (
        Field((), description="All regions that are forecast, or `all`; unset: EIA_REGION alone.")
    )
    regions_file: Path | None = Field(
        None, description="Regions of one's own, in the form of the catalogue; they replace its entries."
    )
    eia_base_url: HttpUrl = PUBLIC_URLS["eia_base_url"]
    eia_bulk_url: HttpUrl = PUBLIC_URLS["eia_bulk_url"]
    open_meteo_historical_url: HttpUrl = PUBLIC_URLS["open_meteo_historical_url"]
    open_meteo_forecast_url: HttpUrl = PUBLIC_URLS["open_meteo_forecast_url"]
    open_meteo_single_runs_url: HttpUrl = PUBLIC_URLS["open_meteo_single_runs_url"]
    nyiso_forecast_url: HttpUrl = PUBLIC_URLS["nyiso_forecast_url"]
    sandbox_url: HttpUrl | None = Field(None, description="Where a sandbox stands in for all upstreams.")
    eia_request_interval_seconds: float = Field(1.0, ge=0, le=3600, description="Least time between calls.")
    open_meteo_request_interval_seconds: float = Field(0.1, ge=0, le=3600, description="Likewise.")
    nyiso_request_interval_seconds: float = Field(1.0, ge=0, le=3600, description="Likewise.")
    open_meteo_calls_per_minute: float | None = Field(
        600, gt=0, description="Weighted calls that are free; one of a year and four sites counts as 125."
    )
    open_meteo_calls_per_hour: float | None = Field(5000, gt=0, description="Likewise, in an hour.")
    open_meteo_calls_per_day: float | None = Field(10_000, gt=0, description="Likewise, in a UTC day.")
    open_meteo_api_key: Annotated[SecretStr | None, AfterValidator(_one_word)] = Field(
        None, description="Key of a paid plan of Open-Meteo: its own hosts, without these limits."
    )
    open_meteo_models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_listed)] = Field(
        (ECMWF,),
        min_length=1,
        description="Weather models that are stored and mixed, the longest record first.",
    )
    weather_runs_kept: int = Field(
        12, ge=1, le=40, description="Newest runs stored for each day's hour of issue in a backfill."
    )
    operator_forecast: Annotated[Literal["nyiso"] | None, AfterValidator(_of_the_region)] = Field(
        None, description="Whose own load forecast is stored and combined with ours; unset: nobody's."
    )
    http_timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one answer.")
    http_attempts: int = Field(5, ge=1, le=20, description="Tries of one request, the first included.")
    http_backoff_seconds: float = Field(1.0, ge=0, description="First wait before a retry; it doubles.")

    weather_site: str = Field(NEW_YORK_CITY.name, pattern=r"^[a-z][a-z0-9_]*$", description="First site.")
    weather_lat: float = Field(NEW_YORK_CITY.latitude, ge=-90, le=90, description="Its latitude, degrees.")
    weather_lon: float = Field(NEW_YORK_CITY.longitude, ge=-180, le=180, description="Its longitude.")
    weather_tz: ZoneName = Field("America/New_York", description="Time zone of the region's days.")
    weather_weight: float = Field(NEW_YORK_CITY.weight, gt=0, description="Its population share.")
    weather_further_sites: tuple[Site, ...] = Field(UPSTATE_SITES, description="More sites, as JSON.")
    holiday_country: Annotated[str, AfterValidator(_has_holidays)] = Field(
        "US", description="Country whose holidays count, as two letters."
    )
    weather_publication_delay_hours: float | None = Field(
        None, ge=0, le=24, description="Hours until a model run is published; unset: what its model takes."
    )

    energy_demand_home: Path | None = Field(None, description="Folder of everything local.")
    energy_demand_now: Moment | None = Field(None, description="Fixes the present, to replay a record.")
    publication_delay_hours: int = Field(
        2, ge=0, le=48, description="Hours after its end until an hour of demand is known; a sandbox: 1."
    )
    revision_window_days: int = Field(
        14, ge=1, le=366, description="How far back each run asks again, for revisions."
    )
    database_url: SecretStr | None = Field(None, description="PostgreSQL; unset: the embedded one.")
    mlflow_tracking_uri: str | None = Field(None, description="Unset: a store in the home folder.")
    dask_scheduler: str | None = Field(
        None,
        pattern=r"^(tcp|tls)://[^/]+:\d+$",
        description="Its workers run the scheduled jobs of all but the default region.",
    )
    api_host: str = Field("127.0.0.1", description="Address that the API and its metrics listen on.")
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    prometheus_port: int = Field(8001, ge=1, le=65535, description="Port of the metrics.")
    api_key: Annotated[SecretStr | None, AfterValidator(_one_word)] = Field(
        None, description="What callers send; unset: loopback only."
    )
    api_workers: int = Field(1, ge=1, le=64, description="Serving processes.")
    api_cors_origins: tuple[str, ...] = Field((), description="Sites whose pages may call, as JSON.")
    api_max_in_flight: int = Field(64, ge=1, le=10_000, description="Requests at once in one process.")
    api_timeout_seconds: float = Field(10.0, gt=0, le=600, description="Longest a request may take.")
    model_watch_seconds: float = Field(
        10.0, gt=0, le=30, description="How often each process looks whether the champion changed."
    )
    prediction_spool_mb: int = Field(
        256, ge=1, le=1_000_000, description="Most that waits on disk for the database."
    )
    prediction_log_retention_days: Annotated[int | None, AfterValidator(_long_enough)] = Field(
        None, description="Older predictions go to Parquet files, at least 34; unset: all stay."
    )

    dashboard_host: str = Field("127.0.0.1", description="Address that the dashboard listens on.")
    dashboard_port: int = Field(8501, ge=1, le=65535, description="Its port.")
    api_public_url: HttpUrl | None = Field(None, description="Where a browser finds the API.")
    mlflow_public_url: HttpUrl | None = Field(None, description="Where a browser finds MLflow.")
    grafana_public_url: HttpUrl | None = Field(None, description="Where a browser finds Grafana.")
    dashboard_public_url: HttpUrl | None = Field(
        None, description="Where a browser finds the dashboard; messages link to it."
    )

    notify_urls: Annotated[SecretStr | None, AfterValidator(_usable_urls)] = Field(
        None, description="Apprise URLs that messages go to, separated by commas or blanks; unset: none."
    )
    notify_kinds: Annotated[tuple[Kind, ...], NoDecode, BeforeValidator(_listed)] = Field(
        tuple(Kind), min_length=1, description="Kinds of messages that are sent."
    )
    notify_quiet_hours: Annotated[QuietHours | None, NoDecode, BeforeValidator(_quiet)] = Field(
        None, description="Local hours in which only urgent messages are sent, like 22-7."
    )

    retrain_max_age_days: int = Field(
        90, ge=1, le=3650, description="A champion older than this is retrained."
    )
    retrain_cooldown_days: int = Field(
        16, ge=0, le=365, description="After a retraining none but a person may ask again for so long."
    )
    model_versions_kept: int = Field(
        20,
        ge=2,
        le=10_000,
        description="Newest versions kept; the champion and the one before it always are.",
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: dict[str, Any]) -> dict[str, Any]:
        given = _in_place(_with_default_region(_stripped(given)))
        paid = bool(given.get("open_meteo_api_key"))
        root = str(given.get("sandbox_url") or "").rstrip("/")
        if not root.startswith(HTTP_SCHEMES):  # none, or one that its own check refuses
            return {**PAID_URLS, **WITHOUT_LIMITS, **given} if paid else given
        paths = SANDBOX_PATHS | (PAID_SANDBOX_PATHS if paid else {})
        addresses = {name: f"{root}/{path}" for name, path in paths.items()}
        return {**addresses, **UNPACED, **WITHOUT_LIMITS, **given}

    @property
    def home(self) -> Path:
        """Where everything local lies: the project's `.energy-demand/`, or the one that was set."""
        return (self.energy_demand_home or default_home()).resolve()

    @property
    def reference_path(self) -> Path:
        """What drift is measured against; in the project's `data/`, or in the home folder that was set."""
        return self._own(self._files / "data" / "reference") / "reference_features.parquet"

    @property
    def drift_report_path(self) -> Path:
        """The newest page on drift; likewise."""
        return self._own(self._files / "reports") / "latest_drift.html"

    @property
    def picture_path(self) -> Path:
        """Where `forecast` writes its picture by default; likewise."""
        return self._own(self._files / "reports") / "forecast.png"

    @property
    def models_folder(self) -> Path:
        """This machine's copies of the models that served last; in the home folder."""
        return self._own(self.home / "models")

    @property
    def model_name(self) -> str:
        """The name of the region's registered model."""
        return MODEL_NAME if self.eia_region == FIRST_REGION else f"{MODEL_NAME}-{self.eia_region}"

    def _own(self, folder: Path) -> Path:
        """The region's own folder in a folder: New York's is the folder itself."""
        return folder if self.eia_region == FIRST_REGION else folder / self.eia_region

    @property
    def _files(self) -> Path:
        if self.energy_demand_home is not None:
            return self.home
        return (project_root() or default_home()).resolve()

    @property
    def region(self) -> Region:
        """The region that is forecast, with all its weather sites, the first one first."""
        first = Site(
            name=self.weather_site,
            latitude=self.weather_lat,
            longitude=self.weather_lon,
            weight=self.weather_weight,
        )
        sites = (first, *self.weather_further_sites)
        return Region(self.eia_region, ZoneInfo(self.weather_tz), self.holiday_country, sites)

    @property
    def regions(self) -> tuple[str, ...]:
        """The codes of all regions that are forecast, the default region first.

        Raises:
            RegionError: EIA_REGIONS is `all`, and REGIONS_FILE cannot be used.
        """
        if self.eia_regions != (ALL_REGIONS,):
            return self.eia_regions or (self.eia_region,)
        from energy_demand.region_catalogue import active  # noqa: PLC0415  (only where it is read)

        others = (code for code in active(self.regions_file) if code != self.eia_region)
        return (self.eia_region, *others)

    def for_region(self, code: str) -> Settings:
        """The settings of one of `regions`; time zone, sites and holidays that are set are the default's.

        Raises:
            RegionError: the region is not among `regions`, not in the catalogue, has a fault there, or has a
                site whose name another region before it gives to another place.
        """
        if code == self.eia_region:
            return self
        from energy_demand.region_catalogue import check_shared_sites, further_region  # noqa: PLC0415  (as above)

        if code not in self.regions:
            raise RegionError(
                f"{code} is not among the regions that are forecast ({', '.join(self.regions)}); "
                "EIA_REGIONS says which"
            )
        region = further_region(code, self.regions_file)
        before = self.regions[1 : self.regions.index(code)]
        check_shared_sites(region, self.region, before, self.regions_file)
        first, *further = region.sites
        return self.model_copy(
            update={
                "eia_region": code,
                "eia_regions": (code, *(each for each in self.regions if each != code)),
                "weather_tz": region.zone.key,
                "weather_site": first.name,
                "weather_lat": first.latitude,
                "weather_lon": first.longitude,
                "weather_weight": first.weight,
                "weather_further_sites": tuple(further),
                "holiday_country": region.country,
                "operator_forecast": self.operator_forecast if code in NEW_YORK_RESPONDENTS else None,
            }
        )

    @property
    def weather_models(self) -> tuple[WeatherModel, ...]:
        """The models whose runs are stored and mixed, the one with the longest record first."""
        delay = self.weather_publication_delay_hours
        return tuple(WeatherModel(name, delay) for name in self.open_meteo_models)

    @property
    def notifiers(self) -> dict[str, str]:
        """The URLs that messages go to, by names that may be shown; the URLs may not."""
        return {} if self.notify_urls is None else notifiers(self.notify_urls.get_secret_value())

    @property
    def availability(self) -> Availability:
        """When an hour of demand can first be used."""
        return Availability(self.publication_delay_hours)

    def present(self) -> datetime:
        """The fixed present where one is set, else the clock, in UTC."""
        return self.energy_demand_now or datetime.now(UTC)


def project_root() -> Path | None:
    """The checkout that the package runs from, or None where it was installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() else None


def default_home() -> Path:
    """`.energy-demand/` in the checkout; without one, in the user's home folder."""
    return (project_root() or Path.home()) / ".energy-demand"


def prefect_api_url() -> str | None:
    """Where Prefect's API is, as Prefect itself reads it; None: not set."""
    return os.environ.get("PREFECT_API_URL", "").strip() or None


def load_settings(**overrides: Any) -> Settings:
    """Settings from `overrides`, the environment and the project's `.env`, in that order.

    Raises:
        SettingsError: naming every variable that is malformed, or mistyped, with the name that is near, or
            the line of `.env` that cannot be read, or the fault in REGIONS_FILE.
    """
    env_file = (project_root() or Path.cwd()) / ".env"
    try:
        _refuse_unknown(read_env_file(env_file))
        _spare_loopback()
        return Settings(_env_file=env_file, _env_file_encoding=ENCODING, **overrides)
    except EnvFileError as error:
        raise SettingsError(str(error)) from None
    except ValidationError as error:
        lines = [
            f"{_variable(problem['loc'])}{_separator(problem['loc'])}"
            f"{problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors()
        ]
        raise SettingsError("; ".join(lines)) from None
    except OSError as error:
        raise SettingsError(f"{env_file}: cannot be read: {error.strerror}; make it readable") from None
    except RegionError as error:
        raise SettingsError(str(error)) from None
    except SourceError as error:
        # A list that is no JSON; its message names the field.
        named = re.search(r'field "(\w+)"', str(error))
        name = named[1].upper() if named else "a variable"
        raise SettingsError(f"{name}: cannot be read; write it as JSON, see .env.example") from None


def settings_of(**given: Any) -> Settings:
    """Settings from `given` and the defaults alone, whatever the environment and `.env` say."""
    return _Given(**given)


class _Given(Settings):
    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def opt_out_of_telemetry() -> None:
    """Keep MLflow and Prefect from reporting their use; they read this when they are imported."""
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)


def forget_foreign_mlflow() -> None:
    """Keep another project's choice of a run, an experiment or a registry from our runs."""
    for name in FOREIGN_MLFLOW:
        os.environ.pop(name, None)


def prepare_flows(settings: Settings) -> None:
    """Keep what Prefect stores in the home folder too; it reads this when it is imported."""
    opt_out_of_telemetry()
    if not os.environ.get("PREFECT_API_URL", "").strip():
        os.environ.pop("PREFECT_API_URL", None)  # empty is unset; Prefect would take it for an address
    settings.home.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("PREFECT_HOME", str(settings.home / "prefect"))


def prepare_serving(metrics_folder: Path) -> None:
    """Set what libraries read when they are loaded, for this process and the workers it starts."""
    opt_out_of_telemetry()
    for name, value in SERVING_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    os.environ[METRICS_FOLDER_VARIABLE] = str(metrics_folder)


def prepare_dashboard(settings: Settings) -> None:
    """Set what the dashboard's script and its libraries read when they are loaded, in this process."""
    opt_out_of_telemetry()
    for name, value in DASHBOARD_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if settings.energy_demand_now is not None:
        os.environ["ENERGY_DEMAND_NOW"] = settings.energy_demand_now.isoformat()


def environment_with(given: Mapping[str, str], *, settings: bool) -> dict[str, str]:
    """This process's environment with `given` in it, for a process that it starts.

    Without `settings` none of ours goes along: another program needs no key and no password of ours, and no
    setting of another project's MLflow.
    """
    known = {name.upper() for name in Settings.model_fields}
    kept = {
        name: value
        for name, value in os.environ.items()
        if settings or not (name.upper() in known or name.lstrip("_").startswith("MLFLOW_"))
    }
    return {**kept, **without_loopback(os.environ), **given}


def _variable(location: tuple[int | str, ...]) -> str:
    name, *inner = location
    return str(name).upper() + "".join(f"[{part}]" for part in inner)


def _separator(location: tuple[int | str, ...]) -> str:
    """What follows `…API_KEY:` counts as a key, and would be taken out of the message."""
    return " is refused: " if str(location[0]).endswith("api_key") else ": "


def _spare_loopback() -> None:
    """Keep requests to this machine from any proxy, in this process and those that it starts."""
    problems = [f"{name}: {problem}" for name, problem in sorted(unusable_proxies(os.environ).items())]
    if problems:
        raise SettingsError("; ".join(problems))
    os.environ.update(without_loopback(os.environ))


def _refuse_unknown(in_file: Mapping[str, str | None]) -> None:
    unknown = mistyped({name.upper() for name in Settings.model_fields}, in_file, os.environ)
    if unknown:
        hints = [
            f"{name}: no such setting" + (f"; did you mean {near}?" if near else "")
            for name, near in sorted(unknown.items())
        ]
        raise SettingsError("; ".join(hints))
