"""Closed windows as bytes."""

import numpy as np
import pytest
from drift_samples import embedding_window, layout_of, text_window
from hypothesis import given
from hypothesis import strategies as st
from processor_samples import Producer, categorical, numeric
from reference_samples import AMOUNT, HOUR, MONDAY, closed

from collector_processor.processors.references.kept import KeptWindow, merge
from collector_processor.processors.windows import WindowSettings, WindowStore
from otel_ml.drift.windows import window_distributions
from otel_ml.errors import CorruptSnapshotError
from otel_ml.sketch import codec
from otel_ml.sketch.exemplar import Exemplar, ExemplarReason
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole

LAYOUT = layout_of(np.random.default_rng(0).normal(size=5_000))


def values(n, seed=0):
    return np.random.default_rng(seed).normal(size=n)


def test_a_window_comes_back_as_it_was():
    """Columns, kinds, rows and time, for every way to count."""
    text, vectors = text_window(["a b", "c"]), embedding_window(np.ones((5, 3)))
    text.key, vectors.key = (FeatureKey(FeatureRole.FEATURE, name) for name in ("text", "vectors"))
    window = closed(
        MONDAY,
        numeric("amount", values(400), layout=LAYOUT, missing=3),
        numeric("other", values(400)),
        categorical("amount", {"n/a": 2}),
        text,
        vectors,
        rows=405,
    )

    kept = KeptWindow.decode(KeptWindow.of(window).encode())

    parts = {(part.key, part.kind): part for part in kept.parts()}
    assert (kept.start_unix_nano, kept.end_unix_nano, kept.rows) == (MONDAY, MONDAY + HOUR, 405)
    assert parts.keys() == window.parts.keys()
    for place, part in parts.items():
        assert part.counters == window.parts[place].counters
        pair = window_distributions(window.parts[place], part, [LAYOUT])
        assert pair[0].total == pair[1].total


def test_what_servers_sent_is_kept_as_it_was_merged():
    """Columns that came as matrices of counts, and others, from two servers."""
    store = WindowStore(WindowSettings(window="1h"), wall_clock_ns=lambda: MONDAY + 2 * HOUR)
    for seed in range(2):
        sent = Producer(bytes([seed]) * 16).snapshot(
            numeric("amount", values(300, seed), layout=LAYOUT), numeric("other", values(300, seed)), start=MONDAY
        )
        store.merge(codec.decode(codec.encode(sent)))
    (window,) = store.close_all()

    merged = merge([KeptWindow.of(window)])

    assert window.binned
    assert window.sketched
    assert merged.rows == 600
    assert merged.parts.keys() == window.parts.keys()
    for place, part in merged.parts.items():
        pair = window_distributions(window.parts[place], part, [LAYOUT])
        assert pair[0].total == pair[1].total == 600


def test_requests_that_stood_out_are_not_kept():
    """Their traces are gone from the backend long before."""
    column = numeric("amount", values(50))
    column.exemplars = [Exemplar(ExemplarReason.LARGEST, 1, 2, MONDAY, "", 3.0)]

    (part,) = KeptWindow.of(closed(MONDAY, column)).parts()

    assert part.exemplars == []
    assert column.exemplars


def test_counts_in_bins_take_a_tenth_of_a_kilobyte_a_column():
    """Which is what makes a week of windows affordable."""
    columns = [numeric(f"column {index}", values(3_000, index), layout=LAYOUT) for index in range(50)]

    kept = KeptWindow.of(closed(MONDAY, *columns))

    assert kept.size < 50 * 150


@given(st.lists(st.integers(1, 60), min_size=1, max_size=5))
def test_merging_what_was_kept_equals_having_seen_it_all(sizes):
    """Bins and rows add up exactly."""
    samples = [values(size, seed) for seed, size in enumerate(sizes)]
    kept = [
        KeptWindow.of(closed(MONDAY + hour * HOUR, numeric("amount", sample, layout=LAYOUT)))
        for hour, sample in enumerate(samples)
    ]

    merged = merge(kept)

    whole = numeric("amount", np.concatenate(samples), layout=LAYOUT)
    (part,) = merged.parts.values()
    assert (merged.rows, merged.windows, merged.covered) == (sum(sizes), len(sizes), len(sizes) * HOUR)
    assert (part.content.bins[LAYOUT.hash].counts == whole.content.bins[LAYOUT.hash].counts).all()


def test_what_was_read_as_two_kinds_stays_apart():
    """Adding up must not depend on which came first."""
    first = KeptWindow.of(closed(MONDAY, numeric("amount", values(30))))
    second = KeptWindow.of(closed(MONDAY + HOUR, categorical("amount", {"n/a": 30})))

    parts = merge([first, second]).parts

    assert parts.keys() == {(AMOUNT, FeatureKind.NUMERIC), (AMOUNT, FeatureKind.CATEGORICAL)}


def test_columns_that_cannot_be_added_are_counted():
    """Vectors of another length, as of a new model behind the same name."""
    first, second = (
        KeptWindow.of(closed(MONDAY + hour * HOUR, embedding_window(np.ones((5, size)))))
        for hour, size in enumerate((3, 4))
    )

    merged = merge([first, second])

    assert merged.incompatible == 1
    (part,) = merged.parts.values()
    assert part.content.dimensions == 3


def test_a_window_that_cannot_be_read_costs_only_itself():
    """One flipped byte, found by the checksum."""
    good, bad = (KeptWindow.of(closed(MONDAY + hour * HOUR, numeric("amount", values(30)))) for hour in range(2))
    payload = bytearray(bad.payload)
    payload[len(payload) // 2] ^= 0xFF
    broken = KeptWindow.decode(bad.encode()[: -len(bad.payload)] + bytes(payload))

    merged = merge([good, broken])

    assert merged.corrupt == [broken]
    assert merged.rows == 30
    with pytest.raises(CorruptSnapshotError):
        broken.parts()


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\n",
        b"null\nx",
        b"[1]\nx",
        b"{}\nx",
        b'{"start_unix_nano": 5, "end_unix_nano": 5, "rows": 1, "windows": 1, "covered": 1, "drifted": []}\nx',
        b'{"start_unix_nano": -5, "end_unix_nano": 5, "rows": 1, "windows": 1, "covered": 1, "drifted": []}\nx',
        b'{"start_unix_nano": 1, "end_unix_nano": 5, "rows": true, "windows": 1, "covered": 1, "drifted": []}\nx',
        b'{"start_unix_nano": 1, "end_unix_nano": 5, "rows": 1, "windows": 1, "covered": 1, "drifted": [["x", ""]]}\nx',
        b'{"start_unix_nano": 1, "end_unix_nano": 5, "rows": 1, "windows": 1, "covered": 1, "drifted": 3}\nx',
        b'{"start_unix_nano": 1, "end_unix_nano": 5, "rows": 1, "windows": 1, "covered": 1, "drifted": []}',
        b"\xff\xfe\nx",
    ],
)
def test_other_bytes_are_no_window(encoded):
    """A store may hold what another version wrote."""
    with pytest.raises(ValueError):
        KeptWindow.decode(encoded)
