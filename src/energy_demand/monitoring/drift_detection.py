"""Data drift: a window compared with the same season of earlier years. Pure, except for Evidently's report.

Fifteen columns are watched, in three groups of five; calendar columns are not. A column drifts if its
Wasserstein distance to the reference, divided by the reference's standard deviation, reaches the threshold.
The drift share is the mean over the groups of the share of drifted columns, so all columns derived from
temperature together weigh one third, and a share over 0.3 takes a whole group or parts of several. How the
numbers were found: docs/monitoring.md.
"""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from scipy.stats import wasserstein_distance

from energy_demand.limits import DRIFT_SHARE_THRESHOLD
from energy_demand.timeaxis import utc_index

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Status = Literal["compared", "missing", "empty", "constant", "source_changed"]
    Scorer = Callable[[pd.DataFrame, pd.DataFrame], dict[str, float]]

GROUPS = {
    "temperature": (
        "temperature",
        "apparent_temperature",
        "temp_squared",
        "cooling_degree_hours",
        "heating_degree_hours",
    ),
    "other_weather": ("humidity", "wind_speed", "cloud_cover", "solar_radiation", "precipitation"),
    "demand": (
        "demand_lag_1h",
        "demand_lag_24h",
        "demand_lag_168h",
        "demand_rolling_mean_24h",
        "demand_rolling_std_24h",
    ),
}
WATCHED = tuple(column for columns in GROUPS.values() for column in columns)
SOURCE = "source_"  # column `source_X`: where the values of X come from

METHOD = "wasserstein"
THRESHOLD = 0.6
SEASON_DAYS = 7  # on either side of a day, in earlier years
FEWEST_ROWS = 7 * 24  # of the reference, for a comparison
# A column that varies less in the season than this share of its variation over the whole reference counts as
# constant there, such as cooling degrees in January.
LEAST_VARIATION = 0.1


@dataclass(frozen=True)
class Feature:
    """The result for one column.

    Attributes:
        group: of the column.
        status: `compared`; or why it was not: `missing`, `empty` in the reference or the window,
            `constant` in the reference, `source_changed` (its values now come from elsewhere, and the
            reference has too few from there).
        drifted: False where it was not compared.
        score: distance in standard deviations of the reference, or None.
        shift: mean of the window minus mean of the reference, in the column's unit, or None.
    """

    group: str
    status: Status
    drifted: bool = False
    score: float | None = None
    shift: float | None = None


def run_drift_check(
    reference_df: pd.DataFrame,
    current_df: pd.DataFrame,
    *,
    threshold: float = THRESHOLD,
    share_threshold: float = DRIFT_SHARE_THRESHOLD,
    scorer: Scorer | None = None,
) -> tuple[bool, float, dict[str, Any]]:
    """Compare a window with the same season of a reference.

    Args:
        reference_df: feature rows; with `timestamp` they are matched to the days of year of the window
            (`SEASON_DAYS` on either side) and to its hours of day, if enough rows match.
        current_df: feature rows of the window. With columns `source_X` in both, only rows from the window's
            usual source are compared.
        threshold: score from which a column has drifted.
        share_threshold: drift share above which the data has drifted.
        scorer: distances by column; Evidently's by default.

    Returns:
        Whether the data has drifted; the drift share; details: `per_feature` (the fields of `Feature`),
        `groups` (share of each, None where none of its columns could be compared), `n_drifted_features`,
        `n_total_features` (those compared), `source_changes`, `season_matched`, `n_reference_rows`,
        `n_current_rows`, `method`, `threshold`, `share_threshold`.
    """
    reference, matched = _matched(reference_df, current_df)
    features, comparable, pairs = _compared(reference, current_df, reference_df)
    scores = (scorer or evidently_scores)(*pairs) if comparable else {}
    for name in comparable:
        then, now = pairs[0][name], pairs[1][name]
        features[name] = Feature(
            features[name].group,
            "compared",
            drifted=scores[name] >= threshold,
            score=scores[name],
            shift=float(now.mean() - then.mean()),
        )
    groups = {name: _group_share(features, columns) for name, columns in GROUPS.items()}
    shares = [share for share in groups.values() if share is not None]
    share = float(np.mean(shares)) if shares else 0.0
    details = {
        "per_feature": {name: asdict(feature) for name, feature in features.items()},
        "groups": groups,
        "n_drifted_features": sum(feature.drifted for feature in features.values()),
        "n_total_features": len(comparable),
        "source_changes": [name for name, each in features.items() if each.status == "source_changed"],
        "season_matched": matched,
        "n_reference_rows": len(reference),
        "n_current_rows": len(current_df),
        "method": METHOD,
        "threshold": threshold,
        "share_threshold": share_threshold,
    }
    return share > share_threshold, share, details


def generate_drift_html_report(
    reference_df: pd.DataFrame, current_df: pd.DataFrame, output_path: str | Path
) -> str:
    """Write Evidently's report on the comparable columns and return its path.

    The file appears under its name only when complete.

    Raises:
        OSError: it cannot be written.
    """
    reference, _ = _matched(reference_df, current_df)
    _, comparable, pairs = _compared(reference, current_df, reference_df)
    path = Path(output_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if comparable:
        _evidently(*pairs, THRESHOLD).save_html(str(part))
    else:
        part.write_text("<!doctype html><title>Drift</title><p>No feature could be compared.</p>\n")
    part.replace(path)
    return str(path)


def evidently_scores(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, float]:
    """Evidently's normed Wasserstein distance of each column."""
    metrics = _evidently(reference, current, THRESHOLD).dict()["metrics"]
    return {
        str(each["config"]["column"]): float(each["value"])
        for each in metrics
        if str(each["config"]["type"]).endswith("ValueDrift")
    }


def wasserstein_scores(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, float]:
    """The same distances from SciPy, without Evidently's plots, for the many checks of a replay."""
    return {
        str(name): float(
            wasserstein_distance(reference[name].dropna(), current[name].dropna())
            / max(np.std(reference[name].dropna().to_numpy()), 0.001)
        )
        for name in reference
    }


def _evidently(reference: pd.DataFrame, current: pd.DataFrame, threshold: float) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Evidently 0.7 emits warnings with NumPy 2
        from evidently import DataDefinition, Dataset, Report  # noqa: PLC0415  (takes seconds)
        from evidently.presets import DataDriftPreset  # noqa: PLC0415

        columns = list(reference)
        definition = DataDefinition(numerical_columns=columns)
        preset = DataDriftPreset(columns=columns, num_method=METHOD, num_threshold=threshold)
        return Report([preset]).run(
            Dataset.from_pandas(current, data_definition=definition),
            Dataset.from_pandas(reference, data_definition=definition),
        )


def _matched(reference: pd.DataFrame, current: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The rows of the reference from the window's season and hours, and whether there were enough."""
    if "timestamp" not in reference or "timestamp" not in current or reference.empty or current.empty:
        return reference, False
    then, now = utc_index(reference["timestamp"]), utc_index(current["timestamp"])
    near = np.zeros(367, dtype=bool)
    for day in now.dayofyear.unique():
        near[(np.arange(day - SEASON_DAYS, day + SEASON_DAYS + 1) - 1) % 366 + 1] = True
    chosen = near[then.dayofyear] & np.isin(then.hour, now.hour.unique())
    if chosen.sum() < FEWEST_ROWS:
        return reference, False
    return reference[chosen], True


def _compared(
    reference: pd.DataFrame, current: pd.DataFrame, whole: pd.DataFrame
) -> tuple[dict[str, Feature], list[str], tuple[pd.DataFrame, pd.DataFrame]]:
    """Every watched column with its status, the names of those to compare, and their values."""
    features: dict[str, Feature] = {}
    then: dict[str, pd.Series[float]] = {}
    now: dict[str, pd.Series[float]] = {}
    for group, columns in GROUPS.items():
        for name in columns:
            status, old, new = _values(name, reference, current, whole)
            features[name] = Feature(group, status)
            if status == "compared":
                then[name], now[name] = old, new
    # Columns may differ in length, because rows from other sources are left out.
    return features, list(then), (pd.DataFrame(then), pd.DataFrame(now))


def _values(
    name: str, reference: pd.DataFrame, current: pd.DataFrame, whole: pd.DataFrame
) -> tuple[Status, pd.Series[float], pd.Series[float]]:
    none = pd.Series(dtype=float)
    if name not in reference or name not in current:
        return "missing", none, none
    old, new = _of_one_source(name, reference, current)
    never_known = reference[name].notna().sum() == 0
    if new.empty or (never_known and SOURCE + name not in reference):
        return "empty", none, none
    if old.empty or (len(old) < FEWEST_ROWS <= reference[name].notna().sum()):
        return "source_changed", none, none
    if np.std(old.to_numpy()) <= LEAST_VARIATION * np.std(whole[name].dropna().to_numpy().astype(float)):
        return "constant", none, none
    return "compared", old.reset_index(drop=True), new.reset_index(drop=True)


def _of_one_source(
    name: str, reference: pd.DataFrame, current: pd.DataFrame
) -> tuple[pd.Series[float], pd.Series[float]]:
    """Known values of a column, from the most frequent source of the window."""
    old, new = reference[name].astype(float), current[name].astype(float)
    source = SOURCE + name
    if source in reference and source in current and new.notna().any():
        usual = current.loc[new.notna(), source].mode().iloc[0]
        old, new = old[reference[source] == usual], new[current[source] == usual]
    return old.dropna(), new.dropna()


def _group_share(features: Mapping[str, Feature], columns: tuple[str, ...]) -> float | None:
    compared = [features[name].drifted for name in columns if features[name].status == "compared"]
    return float(np.mean(compared)) if compared else None
