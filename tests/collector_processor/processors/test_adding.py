"""Adding snapshots to windows one by one, or all of a request at once."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from processor_samples import MINUTE, START, Producer, numeric

from collector_processor.processors.windows import WindowSettings, WindowStore
from otel_ml.sketch import codec
from otel_ml.sketch.bins import BinLayout
from otel_ml.sketch.feature import ModelKey
from otel_ml.sketch.snapshot import Segment

FIVE_MINUTES = 5 * MINUTE
LAYOUT = BinLayout(np.array([1.0, 2.0]))


def in_windows(windows):
    """Rows and counts of everything that is in windows."""
    return {
        (model, slot): (
            window.rows,
            {place: repr(part.counters) for place, part in window.parts.items()},
            counts(window),
        )
        for model, stream in windows.streams.items()
        for slot, window in stream.windows.items()
    }


def counts(window):
    return [block.counts.tolist() for block in window.binned]


descriptions = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from([0, 0, 0, 1, 2, 5]),
    st.sampled_from([("amount",), ("amount",), ("amount", "age"), ()]),
    st.sampled_from([None, None, Segment("country", "NO")]),
    st.sampled_from([{}, {"pod": "blue"}]),
)


@given(described=st.lists(st.lists(descriptions, max_size=10), max_size=5))
def test_what_is_merged_together_is_what_is_merged_one_by_one(described):
    """New windows, late ones that were given out, those that have to make room, segments and deployments alike."""
    one_by_one, together = (
        WindowStore(
            WindowSettings(window="5m", lateness="0s", allowed_lateness="10m", limits={"open_windows": 3}),
            clock=lambda: 0.0,
            deployments="pod",
        )
        for _ in range(2)
    )
    given_out = [[], []]
    for request in in_requests(described):
        for one in map(arrived, request):
            one_by_one.merge(one)
        with together.together():
            for one in map(arrived, request):
                together.merge(one)
        for results, windows in zip(given_out, (one_by_one, together), strict=True):
            results += [(window.rows, counts(window)) for window in windows.close_due()]

    assert in_windows(together) == in_windows(one_by_one)
    assert given_out[1] == given_out[0]


def in_requests(described):
    """Snapshots as described, each with the resource that it comes from."""
    producer = Producer()
    return [[(codec.encode(snapshot(producer, *one)), resource) for *one, resource in request] for request in described]


def snapshot(producer, model, place, names, segment):
    features = [numeric(name, [1.0, place], layout=LAYOUT) for name in names]
    made = producer.snapshot(*features, start=START + place * FIVE_MINUTES, length=FIVE_MINUTES)
    return replace(made, model=ModelKey(model, "1"), segment=segment)


def arrived(sent):
    encoded, resource = sent
    return replace(codec.decode(encoded), resource=resource)
