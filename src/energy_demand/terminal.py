"""What a person sees of a forecast: a table, a small plot in the terminal, a picture. No decisions."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from energy_demand.config import project_root
from energy_demand.data.weather_client import ATTRIBUTION
from energy_demand.timeaxis import HOUR

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    import pandas as pd

    from energy_demand.data.ingest import Progress as StepProgress
    from energy_demand.model.predict import Forecast

SCORED = (
    "model",
    "base_booster",
    "seasonal_naive_24",
    "seasonal_naive_168",
    "operator",
    "operator_bias_corrected",
)
PLOT_WIDTH, PLOT_HEIGHT = 78, 16


out = Console(highlight=False)
err = Console(stderr=True, highlight=False)


def print_json(body: dict[str, Any]) -> None:
    """One JSON object on standard output; moments as ISO text in UTC."""
    sys.stdout.write(json.dumps(body, default=_plain, allow_nan=False) + "\n")


def _plain(value: Any) -> str:
    if hasattr(value, "isoformat"):
        return str(value.isoformat()).replace("+00:00", "Z")
    raise TypeError(f"{type(value).__name__} is no JSON value")


@contextmanager
def progress_bars() -> Iterator[StepProgress]:
    """A bar for each step on standard error, for as long as the block lasts."""
    bars = Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
    )
    tasks: dict[str, Any] = {}

    def report(step: str, done: int, total: int) -> None:
        if step not in tasks:
            tasks[step] = bars.add_task(step, total=total)
        bars.update(tasks[step], completed=done, total=total)

    with bars:
        yield report


def print_forecast(
    forecast: Forecast, zone: ZoneInfo, picture: Path | None, *, note: str = "", explain: bool = False
) -> None:
    """Table, plot and peak on standard output; the picture in `reports/`, or where it is wanted."""
    out.print(forecast_table(forecast, zone))
    if explain and forecast.explanation is not None:
        out.print(explanation_table(forecast.explanation, zone))
    out.print(terminal_plot(forecast, zone), markup=False)
    out.print(peak_sentence(forecast, zone))
    saved = save_picture(forecast, zone, picture or picture_path(), note)
    out.print(f"picture: {saved}", soft_wrap=True)


def print_status(body: dict[str, Any]) -> None:
    """`status` for a person."""
    demand, champion = body["demand"], body["champion"]
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row("database", body["database"])
    table.add_row("mlflow", body["mlflow"])
    table.add_row("data", body["data"] or "none yet; run `energy-demand backfill`")
    table.add_row(
        f"demand {body['respondent']}",
        f"{demand['rows']:,} hours {_span(demand)}, {demand['missing_hours']:,} missing, "
        f"{demand['revised']:,} revised, {demand['quarantined']:,} quarantined",
    )
    for site, weather in body["weather"].items():
        forecasts = f"{weather['forecasts'] or 0:,} forecasts as issued"
        newest = weather["newest_forecast"]
        until = f", newest {newest:%Y-%m-%dT%H:%MZ}" if newest else ""
        table.add_row(
            f"weather {site}", f"{weather['rows'] or 0:,} hours {_span(weather)}, {forecasts}{until}"
        )
    if champion is None:
        table.add_row("champion", "none yet; run `energy-demand train`")
    else:
        table.add_row(
            "champion",
            f"version {champion['version']}, trained through {champion['trained_through']:%Y-%m-%dT%H:%MZ}, "
            f"test MAPE {champion['mape']:.2f} %",
        )
    for source in body["sources"]:
        failed, done = source["last_error_at"], source["last_success_at"]
        if failed and (done is None or failed > done):
            table.add_row(
                f"[red]{source['source']}[/red]",
                escape(f"failed {failed:%Y-%m-%dT%H:%MZ}: {source['last_error']}"),
            )
    out.print(table)


def print_quarantine(rows: list[dict[str, Any]]) -> None:
    """The rows in quarantine, one a line."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("id", "seen", "source", "subject", "reason", "row as it came"):
        table.add_column(name, overflow="fold")
    for row in rows:
        seen = f"{row['seen_at']:%Y-%m-%dT%H:%MZ}"
        payload = escape(json.dumps(row["payload"]))
        table.add_row(str(row["id"]), seen, row["source"], row["subject"], row["reason"], payload)
    out.print(table if rows else "nothing is in quarantine")


def _span(held: dict[str, Any]) -> str:
    if held["first"] is None:
        return ""
    return f"from {held['first']:%Y-%m-%dT%H:%MZ} to {held['last']:%Y-%m-%dT%H:%MZ}"


def forecast_table(forecast: Forecast, zone: ZoneInfo) -> Table:
    """Each hour with its forecast and intervals, in local time, the peak marked."""
    peak = int(forecast.hours["predicted_demand_mwh"].to_numpy().argmax())
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("hour (local)", "lead h", "MWh", "80 % interval", "95 % interval", ""):
        table.add_column(name, justify="right")
    for index, hour in enumerate(forecast.hours.to_dict("records")):
        ends = hour["period"].tz_convert(zone)
        starts = (hour["period"] - HOUR).tz_convert(zone)
        table.add_row(
            f"{starts:%a %d %b %H:%M}–{ends:%H:%M}",
            str(int(hour["lead_hours"])),
            f"{hour['predicted_demand_mwh']:,.0f}",
            f"{hour['lower_80']:,.0f} – {hour['upper_80']:,.0f}",
            f"{hour['lower_95']:,.0f} – {hour['upper_95']:,.0f}",
            "← peak" if index == peak else "",
            style="bold" if index == peak else None,
        )
    return table


def explanation_table(explanation: pd.DataFrame, zone: ZoneInfo) -> Table:
    """What each part adds to the forecast of each hour, MWh."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    parts = [name for name in explanation.columns if name != "period"]
    for name in ("hour (local)", *(part.replace("_", " ") for part in parts), "= MWh"):
        table.add_column(name, justify="right")
    for hour in explanation.to_dict("records"):
        starts = (hour["period"] - HOUR).tz_convert(zone)
        shares = [f"{hour[part]:,.0f}" if part == "typical" else f"{hour[part]:+,.0f}" for part in parts]
        table.add_row(f"{starts:%a %H:%M}", *shares, f"{sum(hour[part] for part in parts):,.0f}")
    return table


def print_backtest(body: dict[str, Any]) -> None:
    """`backtest` for a person."""
    out.print(
        f"{body['protocol']}, {body['start']} to {body['end']}, weather {body['weather']}, publication delay "
        f"{body['publication_delay_hours']} h, {body['n_hours']:,} hours, {body['fits']} fits of "
        f"{body['seconds_per_fit']:.0f} s, without {body['loss']}, {body['seconds']:.0f} s in all",
        soft_wrap=True,
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "MAPE %", "MAE MWh", "RMSE MWh", "bias %", "n"):
        table.add_column(name, justify="right" if name else "left")
    rows = [(name.replace("_", " "), body[name]) for name in SCORED]
    rows += [(f"daily {name.replace('_', ' ')}", each) for name, each in body["daily"].items()]
    for name, each in rows:
        if each is not None:
            table.add_row(
                name,
                f"{each['mape']:.2f}",
                f"{each['mae']:,.0f}",
                f"{each['rmse']:,.0f}",
                f"{each['bias_percent']:+.2f}",
                f"{each['n']:,}",
            )
    out.print(table)
    out.print(
        f"coverage {body['coverage_80']:.1f} % of 80, {body['coverage_95']:.1f} % of 95; mean width "
        f"{body['width_80_percent']:.1f} and {body['width_95_percent']:.1f} %; MAPE at the daily peak "
        f"{body['peak_hour_mape']:.2f} %",
        soft_wrap=True,
    )


def peak_sentence(forecast: Forecast, zone: ZoneInfo) -> str:
    """The peak hour, its MW and its interval, in a sentence."""
    hour = forecast.hours.iloc[int(forecast.hours["predicted_demand_mwh"].to_numpy().argmax())]
    starts, ends = (hour["period"] - HOUR).tz_convert(zone), hour["period"].tz_convert(zone)
    return (
        f"Peak {hour['predicted_demand_mwh']:,.0f} MW on {starts:%a %d %b} between {starts:%H:%M} and "
        f"{ends:%H:%M} local time (80 %: {hour['lower_80']:,.0f} to {hour['upper_80']:,.0f} MW)"
    )


def terminal_plot(forecast: Forecast, zone: ZoneInfo) -> str:
    """A small plot of the hours with the 80 % interval, as text."""
    import plotext  # noqa: PLC0415  (of the `local` extra)

    hours = forecast.hours
    x = list(range(len(hours)))
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(PLOT_WIDTH, PLOT_HEIGHT)
    plotext.scatter(x, hours["lower_80"].tolist(), marker="·")
    plotext.scatter(x, hours["upper_80"].tolist(), marker="·", label="80 % interval")
    plotext.plot(x, hours["predicted_demand_mwh"].tolist(), marker="braille", label="forecast, MWh")
    ticks = x[:: max(1, len(x) // 8)]
    starts = (hours["period"] - HOUR).dt.tz_convert(zone)
    levels = np.linspace(hours["lower_80"].min(), hours["upper_80"].max(), 6)
    plotext.yticks(levels.tolist(), [f"{level:,.0f}" for level in levels])
    plotext.xticks(ticks, [f"{starts.iloc[tick]:%H:%M}" for tick in ticks])
    return str(plotext.uncolorize(plotext.build()))


def picture_path() -> Path:
    """Where pictures go: `reports/` of the checkout, else of the working directory."""
    return (project_root() or Path.cwd()) / "reports" / "forecast.png"


def save_picture(forecast: Forecast, zone: ZoneInfo, path: Path, note: str = "") -> Path:
    """The forecast with both intervals as a PNG; `note` stands under the title."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    hours = forecast.hours
    edges = date2num([hours["period"].iloc[0] - HOUR, *hours["period"]])  # type: ignore[no-untyped-call]
    figure = Figure(figsize=(10, 5), layout="constrained")
    axes = figure.subplots()
    for level, shade in ((95, 0.15), (80, 0.3)):
        axes.stairs(
            hours[f"upper_{level}"],
            edges,
            baseline=hours[f"lower_{level}"],
            fill=True,
            color="tab:blue",
            alpha=shade,
            linewidth=0,
            label=f"{level} % interval",
        )
    axes.stairs(
        hours["predicted_demand_mwh"], edges, baseline=None, color="tab:blue", linewidth=1.8, label="forecast"
    )
    locator = AutoDateLocator(tz=zone)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        ConciseDateFormatter(locator, tz=zone, show_offset=False)  # type: ignore[no-untyped-call]
    )
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.set_ylabel("demand, MWh")
    axes.set_xlabel(f"{zone.key} time\n{ATTRIBUTION}", fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left", frameon=False)
    issued = forecast.issued_at.astimezone(zone)
    title = f"Hourly demand, issued {issued:%Y-%m-%d %H:%M} by model version {forecast.model_version}"
    axes.set_title(title + (f"\n{note}" if note else ""))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    return path
