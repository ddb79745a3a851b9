"""Writes dashboards/energy-demand.json, which Grafana reads; `make grafana`.

Panels are in the order of the page, left to right. A test keeps the written file equal to this code.
"""

from __future__ import annotations

import json
from pathlib import Path

from grafana_foundation_sdk.builders import common as shape
from grafana_foundation_sdk.builders import dashboard as dashboards
from grafana_foundation_sdk.builders import heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.common import AxisPlacement, TooltipDisplayMode, VisibilityMode
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    VariableOption,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode, HeatmapColorScale
from grafana_foundation_sdk.models.prometheus import PromQueryFormat, QueryEditorMode

FILE = Path(__file__).parent / "dashboards/energy-demand.json"
PROMETHEUS = DataSourceRef("prometheus", "prometheus")
POSTGRESQL = DataSourceRef("grafana-postgresql-datasource", "postgresql")
MWH = "suffix:MWh"


class Sql(Builder[Dataquery], Dataquery):
    """A PostgreSQL query; the SDK has no builder for it."""

    def __init__(self, text: str, ref: str = "A", form: str = "time_series") -> None:
        self._text, self._ref, self._form = text, ref, form

    def build(self) -> Dataquery:
        """The query itself."""
        return self

    def to_json(self) -> dict[str, object]:
        """The query in Grafana's format."""
        return {
            "datasource": POSTGRESQL,
            "editorMode": "code",
            "format": self._form,
            "rawQuery": True,
            "rawSql": self._text,
            "refId": self._ref,
        }


def promql(text: str, ref: str = "A") -> prometheus.Dataquery:
    """A query of Prometheus."""
    query = prometheus.Dataquery().expr(text).ref_id(ref).datasource(PROMETHEUS)
    return query.format(PromQueryFormat.TIME_SERIES).editor_mode(QueryEditorMode.CODE)


def of_region(text: str) -> str:
    """A function of one metric, for the chosen region alone."""
    return text.replace(")", '{region="$respondent"})')


def steps(first: str, **others: float) -> dashboards.ThresholdsConfig:
    """Threshold colours in ascending order: each begins at its value."""
    colours = [Threshold(None, first), *(Threshold(value, colour) for colour, value in others.items())]
    return dashboards.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(colours)


def colour(mode: FieldColorModeId) -> dashboards.FieldColor:
    """How a panel takes its colours."""
    return dashboards.FieldColor().mode(mode)


def number(
    title: str, text: str, query: str, unit: str, decimals: int, limits: dashboards.ThresholdsConfig
) -> stat.Panel:
    """A single value from Prometheus."""
    return (
        stat.Panel()
        .title(title)
        .description(text)
        .datasource(PROMETHEUS)
        .with_target(promql(query).instant())
        .unit(unit)
        .decimals(decimals)
        .thresholds(limits)
        .color_scheme(colour(FieldColorModeId.THRESHOLDS))
        .no_value("unknown")
        .mappings([])
        .graph_mode(common.BigValueGraphMode.NONE)
        .text_mode(common.BigValueTextMode.VALUE)
        .reduce_options(shape.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(values=False))
        .height(5)
        .span(6)
    )


def lines(title: str, text: str, source: DataSourceRef, unit: str) -> timeseries.Panel:
    """Lines over time."""
    return (
        timeseries.Panel()
        .title(title)
        .description(text)
        .datasource(source)
        .unit(unit)
        .color_scheme(colour(FieldColorModeId.PALETTE_CLASSIC))
        .thresholds(steps("green"))
        .mappings([])
        .draw_style(common.GraphDrawStyle.LINE)
        .line_width(1)
        .fill_opacity(0)
        .show_points(VisibilityMode.AUTO)
        .span_nulls(span_nulls=False)
        .thresholds_style(shape.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.OFF))
        .tooltip(shape.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(common.SortOrder.NONE))
        .legend(
            shape.VizLegendOptions()
            .calcs([])
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
    )


def latency() -> heatmap.Panel:
    """Latencies over time."""
    return (
        heatmap.Panel()
        .title("Latency")
        .description("Latency of prediction and forecast requests, summed over all routes and workers.")
        .datasource(PROMETHEUS)
        .with_target(
            promql("sum by (le) (increase(prediction_latency_seconds_bucket[$__rate_interval]))")
            .format(PromQueryFormat.HEATMAP)
            .range()
            .legend_format("{{le}}")
        )
        .color(
            heatmap.HeatmapColorOptions()
            .mode(HeatmapColorMode.SCHEME)
            .scheme("Oranges")
            .scale(HeatmapColorScale.EXPONENTIAL)
            .exponent(0.5)
            .fill("dark-orange")
            .steps(64)
            .reverse(reverse=False)
        )
        .cell_values(heatmap.CellValues().unit("short"))
        .rows_frame(heatmap.RowsHeatmapOptions().layout(common.HeatmapCellLayout.AUTO))
        .scale_distribution(shape.ScaleDistributionConfig().type(common.ScaleDistribution.LINEAR))
        .hide_from(shape.HideSeriesConfig().legend(legend=False).tooltip(tooltip=False).viz(viz=False))
        .mode(TooltipDisplayMode.SINGLE)
        .show_color_scale(show_color_scale=False)
        .hide_y_histogram()
        .y_axis(heatmap.YAxisConfig().axis_placement(AxisPlacement.LEFT).reverse(reverse=False).unit("s"))
        .height(9)
        .span(8)
    )


def features() -> table.Panel:
    """The features of the newest drift check."""
    return (
        table.Panel()
        .title("Drift by feature")
        .description(
            "The newest drift check in the time range: distance of each feature from the same season of the "
            "champion's training data. The threshold is 0.6."
        )
        .datasource(POSTGRESQL)
        .with_target(
            Sql(
                'SELECT feature.key AS "feature",\n'
                "  CASE WHEN (feature.value ->> 'drifted')::boolean THEN 'drifted' "
                "ELSE coalesce(feature.value ->> 'status', 'compared') END AS \"state\",\n"
                "  (feature.value ->> 'score')::double precision AS \"score\"\n"
                "FROM (\n"
                "  SELECT drift_details\n"
                "  FROM drift_log\n"
                "  WHERE respondent = ${respondent:sqlstring} AND check_timestamp <= $__timeTo()\n"
                "  ORDER BY check_timestamp DESC, id DESC\n"
                "  LIMIT 1\n"
                ") newest\n"
                "CROSS JOIN LATERAL jsonb_each(newest.drift_details -> 'per_feature') AS feature\n"
                "ORDER BY 3 DESC NULLS LAST, 1",
                form="table",
            )
        )
        .color_scheme(colour(FieldColorModeId.THRESHOLDS))
        .thresholds(steps("green", red=0.6))
        .mappings([])
        .align(common.FieldTextAlignment.AUTO)
        .cell_options(common.TableAutoCellOptions())
        .filterable(filterable=False)
        .override_by_name(
            "score",
            [
                DynamicConfigValue("decimals", 2),
                DynamicConfigValue("unit", "short"),
                DynamicConfigValue("custom.cellOptions", common.TableColorTextCellOptions()),
            ],
        )
        .footer(shape.TableFooterOptions().show(show=False).reducer(["sum"]).count_rows(count_rows=False))
        .height(9)
        .span(11)
    )


def panels() -> list[stat.Panel | timeseries.Panel | heatmap.Panel | table.Panel]:
    """All panels."""
    requests = "sum by (route) (rate(prediction_requests_total[$__rate_interval]))"
    failed = [
        DynamicConfigValue("unit", "percentunit"),
        DynamicConfigValue("custom.axisPlacement", "right"),
        DynamicConfigValue("max", 1),
        DynamicConfigValue("color", {"mode": "fixed", "fixedColor": "red"}),
    ]
    return [
        number(
            "MAE",
            "Mean absolute error of the champion's own 09:00 forecasts for the hours of the last week. "
            "An alert fires above 1,500 MWh for an hour.",
            of_region("max(model_mae_mwh)"),
            MWH,
            0,
            steps("green", red=1500),
        ),
        number(
            "MAPE",
            "Mean absolute percentage error of the same forecasts.",
            of_region("max(model_mape_percent)"),
            "percent",
            2,
            steps("green", orange=4, red=8),
        ),
        number(
            "Drift share",
            "Share of drifted features in the last drift check: the mean over the three feature groups. "
            "Above 0.3 is drift.",
            of_region("max(drift_share)"),
            "percentunit",
            0,
            steps("green", red=0.3),
        ),
        number(
            "Data freshness",
            "Hours since the newest valid hour of demand. An alert fires above 48.",
            of_region("min(data_freshness_hours)"),
            "suffix:h",
            1,
            steps("green", orange=6, red=48),
        ),
        lines(
            "Request rate",
            "Prediction and forecast requests by route, summed over all workers, "
            "and the share of all requests with server errors (5xx).",
            PROMETHEUS,
            "reqps",
        )
        .with_target(promql(requests).range().legend_format("{{route}}"))
        .with_target(
            promql("max(job:http_request_errors:ratio_rate5m)", "B")
            .range()
            .legend_format("error share (5xx)")
        )
        .override_by_query("B", failed)
        .min(0)
        .height(9)
        .span(8),
        latency(),
        lines(
            "Predicted demand",
            "The service's newest prediction; for a forecast, its peak hour.",
            PROMETHEUS,
            MWH,
        )
        .with_target(
            promql(of_region("max(predicted_demand_mwh)")).range().legend_format("newest prediction")
        )
        .height(9)
        .span(8),
        lines(
            "Drift share over time",
            "Every drift check in the database. The line is the threshold, 0.3.",
            POSTGRESQL,
            "percentunit",
        )
        .with_target(
            Sql(
                'SELECT check_timestamp AS "time", drift_share AS "drift share"\n'
                "FROM drift_log\n"
                "WHERE respondent = ${respondent:sqlstring} AND $__timeFilter(check_timestamp)\n"
                "ORDER BY 1"
            )
        )
        .thresholds(steps("green", red=0.3))
        .thresholds_style(shape.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.LINE))
        .show_points(VisibilityMode.ALWAYS)
        .min(0)
        .max(1)
        .height(9)
        .span(9),
        features(),
        number(
            "Retrainings requested",
            "Drift checks that asked for a retraining, since the database was created.",
            of_region("max(retrain_triggered_total)"),
            "short",
            0,
            steps("blue"),
        )
        .height(9)
        .span(4),
        lines(
            "Actual against predicted",
            "Demand, and the forecast scheduled at 09:00 on the day before, from the database.",
            POSTGRESQL,
            MWH,
        )
        .with_target(
            Sql(
                'SELECT d.period AS "time", d.value AS "actual"\n'
                "FROM raw_demand d\n"
                "WHERE d.respondent = ${respondent:sqlstring} AND d.series = 'D'\n"
                "AND $__timeFilter(d.period)\n"
                "AND NOT EXISTS (\n"
                "  SELECT FROM truth_flag f WHERE f.respondent = d.respondent AND f.period = d.period\n"
                ")\n"
                "ORDER BY 1"
            )
        )
        .with_target(
            Sql(
                'SELECT "timestamp" AS "time", predicted\n'
                "FROM scored_forecasts()\n"
                'WHERE respondent = ${respondent:sqlstring} AND $__timeFilter("timestamp")\n'
                "ORDER BY 1",
                "B",
            )
        )
        .insert_nulls(7_200_000)
        .height(10)
        .span(18),
        number(
            "Feature rows",
            "Rows of the features table, one per hour.",
            of_region("max(feature_rows)"),
            "short",
            0,
            steps("red", green=1000),
        )
        .height(10)
        .span(6),
        lines(
            "Contest",
            "The challenger in the shadow: its gain over the champion by the newest verdict (positive: the "
            "challenger is better), and the days since its training. Empty without a challenger; it is "
            "decided on within 28 days.",
            PROMETHEUS,
            "percent",
        )
        .with_target(promql(of_region("max(challenger_gain_percent)")).range().legend_format("gain"))
        .with_target(
            promql(of_region("max(challenger_shadow_days)"), "B").range().legend_format("days in the shadow")
        )
        .override_by_query(
            "B",
            [
                DynamicConfigValue("unit", "suffix:d"),
                DynamicConfigValue("custom.axisPlacement", "right"),
                DynamicConfigValue("min", 0),
            ],
        )
        .height(9)
        .span(24),
    ]


def written() -> str:
    """The contents of the dashboard file."""
    # One search of the index for each, where DISTINCT would read every hour of all of them.
    respondents = (
        "WITH RECURSIVE known (respondent) AS (SELECT min(respondent) FROM raw_demand UNION ALL "
        "SELECT (SELECT min(d.respondent) FROM raw_demand d WHERE d.respondent > known.respondent) "
        "FROM known WHERE known.respondent IS NOT NULL) "
        "SELECT respondent FROM known WHERE respondent IS NOT NULL ORDER BY 1"
    )
    page = (
        dashboards.Dashboard("Energy demand")
        .uid("energy-demand")
        .tags(["energy-demand"])
        .version(1)
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .timezone("America/New_York")
        .refresh("1m")
        .time("now-7d", "now")
        .timepicker(dashboards.TimePicker().refresh_intervals(["30s", "1m", "5m", "15m", "1h"]))
        .with_variable(
            dashboards.QueryVariable("respondent")
            .label("Region")
            .datasource(POSTGRESQL)
            .query(respondents)
            .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
            .sort(VariableSort.ALPHABETICAL_ASC)
            .current(VariableOption(selected=True, text="NY", value="NY"))
        )
    )
    for identity, panel in enumerate(panels(), start=1):
        page.with_panel(panel.id(identity))
    return json.dumps(page.build(), cls=JSONEncoder, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(written(), encoding="utf-8")
