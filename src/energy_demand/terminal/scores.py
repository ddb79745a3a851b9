"""The scores of backtests and replays, as text."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from energy_demand.terminal.console import out

SCORED = (
    "model",
    "base_booster",
    "seasonal_naive_24",
    "seasonal_naive_168",
    "operator",
    "operator_bias_corrected",
)


def print_backtest(body: dict[str, Any]) -> None:
    """Print the result of `backtest`."""
    out.print(
        f"{body['protocol']}, {body['start']} to {body['end']}, weather {body['weather']}, publication delay "
        f"{body['publication_delay_hours']} h, {body['n_hours']:,} hours, {body['fits']} fits of "
        f"{body['seconds_per_fit']:.0f} s, inputs withheld: {body['loss']}, {body['seconds']:.0f} s in total",
        soft_wrap=True,
    )
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("", "MAPE %", "MAE MWh", "RMSE MWh", "bias %", "n"):
        table.add_column(name, justify="right" if name else "left")
    rows = [(name.replace("_", " "), body[name]) for name in SCORED]
    rows += [(f"daily {name.replace('_', ' ')}", each) for name, each in body["daily"].items()]
    beside = body["operator_forecast"]
    if beside is not None:
        combinations = (beside["hourly"]["combination"], beside["daily"]["combination"])
        rows += zip(("combined with operator", "daily combined with operator"), combinations, strict=True)
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
        f"80 % interval: coverage {body['coverage_80']:.1f} %, mean width {body['width_80_percent']:.1f} %; "
        f"95 % interval: coverage {body['coverage_95']:.1f} %, mean width {body['width_95_percent']:.1f} %; "
        f"MAPE at the daily peak hour {body['peak_hour_mape']:.2f} %",
        soft_wrap=True,
    )


def print_replay(body: dict[str, Any]) -> None:
    """Print the result of `replay`."""
    out.print(
        f"policy {body['policy']}, {body['start']} to {body['end']}, day-ahead, weather {body['weather']}, "
        f"publication delay {body['publication_delay_hours']} h, {body['seconds']:.0f} s in total",
        soft_wrap=True,
    )
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_row(
        "MAPE", f"{body['mape']:.3f} % on {body['n_hours']:,} hours, bias {body['bias_percent']:+.2f} %"
    )
    table.add_row("MAE", f"{body['mae']:,.0f} MWh")
    table.add_row(
        "coverage",
        f"80 % interval {body['coverage_80']:.1f} %, 95 % interval {body['coverage_95']:.1f} %",
    )
    table.add_row(
        "retrainings",
        f"{body['retrainings']}, {body['promotions']} promoted, {body['training_seconds']:.0f} s of training",
    )
    changed = body["inject"]
    if changed is not None:
        delay = body["detection_delay_days"]
        detection = "not detected" if delay is None else f"first alarm {delay:.1f} days later"
        undone = body["rollback_delay_days"]
        if undone is not None:
            detection += f", rolled back {undone:.1f} days later"
        table.add_row("injected", f"{changed['kind']} from {changed['at']}; {detection}")
    for each in body["rollbacks"]:
        table.add_row("rolled back", f"{each['at']:%Y-%m-%d}: {each['why']}")
    table.add_row(
        "alarms", ", ".join(f"{each['at']:%Y-%m-%d} {each['kind']}" for each in body["alarms"]) or "none"
    )
    out.print(table)
    for each in body["retrained"]:
        out.print(f"{each['at']:%Y-%m-%d} {each['outcome']}: {each['why']}", soft_wrap=True)
