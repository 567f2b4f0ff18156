import inspect
import math
import random
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml.drift.streaming import STREAMING_METHODS, StreamingDetector, StreamingInput, StreamingState
from otel_ml.errors import ConfigurationError

NAMES = list(STREAMING_METHODS)
# Its chance draws start anew with a restored state, and one of its tests takes as long as a hundred updates of others.
SLOW = {"kswin": {"window_size": 60, "stat_size": 20}}
# As delivered its threshold asks for fifty errors more than were expected.
QUICK = {"page_hinkley": {"threshold": 10.0}, **SLOW}


@pytest.fixture(autouse=True)
def _river(request):
    if "without_river" not in request.node.name:
        pytest.importorskip("river", reason="needs river: pip install 'otel-ml[concept]'")


def errors(seed, *parts):
    """0 and 1: for each (count, rate) so many, with errors at that rate."""
    draw = random.Random(seed)
    return [int(draw.random() < rate) for count, rate in parts for _ in range(count)]


def alarms(detector, values):
    return [place for place, value in enumerate(values) if detector.update(value)]


@pytest.mark.parametrize("name", NAMES)
def test_more_errors_are_found(name):
    """Every detector gives an alarm within 400 predictions after errors rise from 5 to 60 %."""
    stream = errors(1, (1_000, 0.05), (400, 0.6))

    found = alarms(StreamingDetector(name, QUICK.get(name)), stream)

    assert [place for place in found if place >= 1_000]


@pytest.mark.parametrize("name", NAMES)
def test_alarms_are_rivers(name):
    """They come where river's own class gives them: the adapter adds and delays nothing."""
    stream = errors(2, (600, 0.1), (600, 0.5), (600, 0.1))
    arguments = {**STREAMING_METHODS[name].defaults, **QUICK.get(name, {})}
    detector = _river_class(name)(**arguments)
    expected, warnings = [], []
    for place, error in enumerate(stream):
        detector.update(error)
        if detector.drift_detected:
            expected.append(place)
        elif getattr(detector, "warning_detected", False):
            warnings.append(place)

    ours = StreamingDetector(name, QUICK.get(name))
    found = [(place, ours.update(error), ours.warning) for place, error in enumerate(stream)]

    assert expected
    assert [place for place, drifted, _ in found if drifted] == expected
    assert [place for place, _, warning in found if warning] == warnings
    assert ours.alarms == len(expected)


@pytest.mark.parametrize("name", NAMES)
def test_after_an_alarm_there_is_quiet(name):
    """Alarms within `quiet` values of the last one are of the same change; those later are said."""
    stream = errors(3, (400, 0.02), *[(150, rate) for rate in (0.3, 0.6, 0.9)] * 4)
    every = alarms(StreamingDetector(name, QUICK.get(name)), stream)

    found = alarms(StreamingDetector(name, QUICK.get(name), quiet=200), stream)

    expected = []
    for place in every:
        if not expected or place > expected[-1] + 200:
            expected.append(place)
    assert found == expected


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_value_changes_nothing(name):
    """None, NaN and infinite values are counted, and the alarms are those without them."""
    stream = errors(4, (500, 0.05), (500, 0.7))
    expected = alarms(StreamingDetector(name, QUICK.get(name)), stream)
    detector = StreamingDetector(name, QUICK.get(name))

    found = []
    for place, value in enumerate(stream):
        assert not any(detector.update(nothing) for nothing in (None, math.nan, math.inf, -math.inf))
        if detector.update(value):
            found.append(place)

    assert found == expected
    assert detector.ignored == 4_000


@pytest.mark.parametrize("name", [name for name in NAMES if name != "kswin"])
@settings(max_examples=15)
@given(seed=st.integers(0, 9), cut=st.integers(0, 899))
def test_a_restart_changes_nothing(name, seed, cut):
    """What one detector would have said, two say between them, wherever the first one stopped."""
    stream = errors(seed, (450, 0.1), (450, 0.6))
    expected = alarms(StreamingDetector(name, QUICK.get(name), quiet=50), stream)
    first = StreamingDetector(name, QUICK.get(name), quiet=50)
    before = alarms(first, stream[:cut])

    second = StreamingDetector(name, QUICK.get(name), quiet=50)
    second.restore(first.state())
    after = [cut + place for place in alarms(second, stream[cut:])]

    assert before + after == expected


def test_a_restart_of_kswin_keeps_its_window():
    """Its draws are others than they would have been, and it finds the change all the same."""
    stream = errors(5, (300, 0.05), (300, 0.9))
    first = StreamingDetector("kswin", SLOW["kswin"])
    alarms(first, stream[:300])

    second = StreamingDetector("kswin", SLOW["kswin"])
    second.restore(first.state())

    assert len(first.state().values) == 60
    assert alarms(second, stream[300:])[0] <= 60


def test_a_state_is_bounded():
    """However long nothing happens, no more than the last values are kept; restored, they know the level."""
    detector = StreamingDetector("adwin", memory=300)
    stream = errors(6, (5_000, 0.2), (500, 0.9))
    assert alarms(detector, stream[:5_000]) == []

    state = detector.state()
    again = StreamingDetector("adwin", memory=300)
    again.restore(state)

    assert state.values == tuple(map(float, stream[4_700:5_000]))
    assert alarms(again, stream[5_000:])


hostile = st.one_of(st.none(), st.text(), st.booleans(), st.integers(), st.floats(), st.lists(st.floats()))


@pytest.mark.parametrize("name", ["adwin", "eddm", "page_hinkley"])
@settings(max_examples=30)
@given(values=st.lists(hostile, max_size=50), quiet=hostile)
def test_a_strange_state_does_no_harm(name, values, quiet):
    """Of a state that someone else wrote, only what the detector takes is used."""
    detector = StreamingDetector(name, quiet=7)

    detector.restore(StreamingState(tuple(values), quiet))

    assert all(math.isfinite(value) for value in detector.state().values)
    assert 0 <= detector.state().quiet <= 7
    assert detector.update(1) in {False, True}


@pytest.mark.parametrize("name", ["adwin", "kswin", "page_hinkley"])
def test_any_number_is_taken(name):
    """Huge, tiny and constant values neither raise nor give an alarm without a change."""
    for value in (1e308, -1e308, 5e-324, 0.0, 3):
        assert alarms(StreamingDetector(name, SLOW.get(name)), [value] * 150) == []


def test_values_are_measured_in_what_matters():
    """A change of a thousandth is found where a thousandth matters, and is nothing to ADWIN otherwise."""
    draw = random.Random(7)
    stream = [draw.gauss(0.5 if place < 600 else 0.503, 0.001) for place in range(1_200)]

    assert alarms(StreamingDetector("adwin"), stream) == []
    assert [place // 100 for place in alarms(StreamingDetector("adwin", scale=0.001), stream)] == [6]


@pytest.mark.parametrize("name", [name for name in NAMES if STREAMING_METHODS[name].inputs is StreamingInput.ERRORS])
def test_a_rate_is_no_error(name):
    """Detectors of errors refuse what is neither 0 nor 1, and say who takes it."""
    with pytest.raises(ConfigurationError, match=f"^{name}: 0.25 is no error .* take adwin, kswin or page_hinkley"):
        StreamingDetector(name).update(0.25)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("adwinn", {}, "drift::adwinn: unknown streaming detector (valid detectors: adwin, ddm, eddm, hddm_a, hddm_w,"),
        ("adwinn", {}, "; did you mean 'adwin'?"),
        ("adwin", {"detla": 0.1}, "drift::adwin::detla: unknown setting (valid settings: delta, clock, max_buckets,"),
        ("adwin", {"detla": 0.1}, "; did you mean 'delta'?"),
        ("adwin", {"delta": 1.5}, "drift::adwin::delta: 1.5 is not valid (a number above 0 and below 1)"),
        ("adwin", {"delta": "0.1"}, "drift::adwin::delta: '0.1' is not valid (a number of at least 0)"),
        ("adwin", {"clock": 0}, "drift::adwin::clock: 0 is not valid (a number above 0)"),
        ("adwin", {"clock": 2.5}, "drift::adwin::clock: 2.5 is not valid (a whole number of at least 0)"),
        ("ddm", {"drift_threshold": math.nan}, "drift_threshold: nan is not valid (a number of at least 0)"),
        ("hddm_a", {"two_sided_test": 1}, "drift::hddm_a::two_sided_test: 1 is not valid (true or false)"),
        ("kswin", {"window": [1.0]}, "drift::kswin::window: unknown setting (valid settings: alpha, window_size,"),
        ("kswin", {"stat_size": 60}, "drift::kswin::stat_size: 60 is not valid (at most half of window_size, which is"),
        ("kswin", {"seed": None}, "drift::kswin::seed: None is not valid (a whole number of at least 0)"),
        ("page_hinkley", {"mode": "upp"}, "drift::page_hinkley: Invalid 'mode'. Valid values are: ['up', 'down',"),
        ("page_hinkley", {"mode": 1}, "drift::page_hinkley::mode: 1 is not valid (a text)"),
    ],
)  # fmt: skip
def test_settings_are_checked(name, given, message):
    """The error says where, what, and what would be valid."""
    with pytest.raises(ConfigurationError) as caught:
        StreamingDetector(name, given, path="drift")

    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"quiet": -1}, "ddm::quiet: -1 is not valid (a whole number of at least 0)"),
        ({"memory": 1.5}, "ddm::memory: 1.5 is not valid (a whole number of at least 0)"),
        ({"scale": 0}, "ddm::scale: 0 is not valid (a number above 0)"),
        ({"scale": math.inf}, "ddm::scale: inf is not valid (a number above 0)"),
        ({"scale": 2.0}, "ddm::scale: 2.0 is not valid (errors are 0 or 1: leave it out)"),
    ],
)
def test_our_own_settings_are_checked_too(given, message):
    """In the same words."""
    with pytest.raises(ConfigurationError) as caught:
        StreamingDetector("ddm", **given)

    assert str(caught.value) == message


@pytest.mark.parametrize("name", NAMES)
def test_what_is_said_of_a_method_is_so_in_river(name):
    """Every setting that is named exists, and each lies in the range that is asked of it by default."""
    method = STREAMING_METHODS[name]
    parameters = inspect.signature(_river_class(name)).parameters
    named = {*method.above_zero, *method.shares, *method.defaults, *([method.memory] if method.memory else [])}

    assert named <= set(parameters)
    assert all(parameters[setting].default > 0 for setting in method.above_zero)
    assert all(0 < parameters[setting].default < 1 for setting in method.shares)
    assert hasattr(_river_class(name)(), "warning_detected") == (method.inputs is StreamingInput.ERRORS)


def test_without_river_it_says_what_to_install(monkeypatch):
    """Whoever configures a streaming detector learns which extra it needs."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "river"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "river", None)

    with pytest.raises(ConfigurationError, match=r"^ddm: needs river: pip install 'otel-ml\[concept\]'$"):
        StreamingDetector("ddm")


def test_without_river_detectors_can_be_listed():
    """Names and what they want to be told are known without the library."""
    assert [name for name, method in STREAMING_METHODS.items() if method.inputs is StreamingInput.NUMBERS] == [
        "adwin", "kswin", "page_hinkley",
    ]  # fmt: skip


def _river_class(name):
    method = STREAMING_METHODS[name]
    module = pytest.importorskip(method.module)
    return next(getattr(module, one) for one in method.classes if hasattr(module, one))
