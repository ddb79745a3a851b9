"""The operator's forecast as known at an issue: the newest posting by then, and nothing posted later."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from energy_demand.data.issued_operator import known_at_issue

T0 = pd.Timestamp(datetime(2025, 1, 1, tzinfo=UTC))


def hours(values) -> pd.DatetimeIndex:
    return pd.DatetimeIndex([T0 + pd.Timedelta(hours=value) for value in values], tz="UTC").as_unit("us")


def postings(rows) -> pd.DataFrame:
    period, issued, value = zip(*rows, strict=True) if rows else ((), (), ())
    return pd.DataFrame(
        {"period": hours(period), "issued_at": hours(issued), "forecast_mwh": np.array(value, dtype=float)}
    )


def targets(rows) -> pd.DataFrame:
    period, issued = zip(*rows, strict=True)
    return pd.DataFrame({"period": hours(period), "issued_at": hours(issued)})


def test_the_newest_posting_by_the_issue_counts_and_one_at_the_issue_is_known():
    posted = postings([(30, 7, 100.0), (30, 9, 110.0), (30, 9.5, 120.0), (31, 9.5, 130.0)])
    wanted = targets([(30, 9), (30, 8), (30, 6), (31, 9), (31, 10)])
    known = known_at_issue(posted, wanted).to_numpy()
    assert np.array_equal(known, [110.0, 100.0, np.nan, np.nan, 130.0], equal_nan=True)


def test_the_rows_keep_the_order_and_index_of_the_targets():
    posted = postings([(hour, 0, float(hour)) for hour in range(10, 40)])
    wanted = targets([(39, 5), (12, 3), (20, 9)]).set_index(pd.Index([7, 3, 9]))
    assert known_at_issue(posted, wanted).to_dict() == {7: 39.0, 3: 12.0, 9: 20.0}


def test_without_postings_nothing_is_known():
    assert known_at_issue(postings([]), targets([(30, 9)])).isna().all()


ROWS = st.lists(
    st.tuples(st.integers(20, 26), st.integers(0, 20), st.integers(1, 10**6)), min_size=1, max_size=40
)


@given(ROWS, ROWS, st.integers(0, 20))
def test_nothing_posted_after_the_issue_is_read(before, after, issue):
    early = [row for row in before if row[1] <= issue]
    late = [(period, issue + 1 + issued, value) for period, issued, value in after]
    wanted = targets([(period, issue) for period in range(20, 27)])
    alone = known_at_issue(postings(early), wanted)
    pd.testing.assert_series_equal(known_at_issue(postings([*late, *early]), wanted), alone)
    assert alone.notna().sum() == len({period for period, _, _ in early})
