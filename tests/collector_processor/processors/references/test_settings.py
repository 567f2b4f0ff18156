"""How references are configured, and what is said when they are configured wrongly."""

import pytest
from pydantic import ValidationError

from collector_processor.processors.references.settings import DAY, HOUR, WEEK, ReferenceSettings, Span
from collector_processor.validation import validate

MINUTE = 60 * 1_000_000_000


def problem(raw):
    problems = []
    validate(ReferenceSettings, raw, ("references",), problems)
    (found,) = problems
    return str(found)


def test_without_a_word_the_season_and_the_stable_deployment_are_asked():
    """What costs little and takes away false alarms."""
    assert ReferenceSettings().names(HOUR) == ("baseline", "last_day", "last_week", "stable")


def test_all_that_can_be_said():
    """As YAML reads it."""
    settings = ReferenceSettings.model_validate(
        {
            "trailing": "24h",
            "last_day": False,
            "last_week": False,
            "neighbours": 1,
            "stable": {"choose": "listed", "versions": {"fraud": ["3", "2"]}},
            "segments": True,
            "rollup": "12h",
            "rollup_every": "1h",
            "history": {"series": 5, "windows": 100, "memory_mib": 16},
        }
    )

    assert settings.names(HOUR) == ("baseline", "trailing", "stable")
    assert settings.stable.versions == {"fraud": ("3", "2")}


@pytest.mark.parametrize(
    ("written", "span"),
    [
        (24, Span(windows=24)),
        ("24h", Span(seconds=86_400.0)),
        ("off", Span()),
        (False, Span()),
        (None, Span()),
        (0, Span()),
        ("0", Span()),
    ],
)
def test_trailing_windows_are_counted_or_timed(written, span):
    """A plain off is false to YAML."""
    settings = ReferenceSettings(trailing=written)

    assert settings.trailing == span
    assert ("trailing" in settings.names(HOUR)) is bool(span != Span())


def test_a_span_knows_the_length_of_windows():
    """24 windows of five minutes are two hours."""
    assert Span(windows=24).nanoseconds(5 * MINUTE) == 120 * MINUTE
    assert Span(seconds=7_200.0).nanoseconds(5 * MINUTE) == 120 * MINUTE


def test_the_stable_deployment_can_be_switched_off():
    """Plainly."""
    for off in ("off", False):
        settings = ReferenceSettings.model_validate({"stable": {"choose": off}})
        assert "stable" not in settings.names(HOUR)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            {"trailing": "a day"},
            (
                "references::trailing: 'a day' is not a span (a number of windows such as 24, a duration such as"
                ' "24h", or off)'
            ),
        ),
        (
            {"trailing": -1},
            'references::trailing: -1 is not a span (a number of windows such as 24, a duration such as "24h", or off)',
        ),
        (
            {"stable": {"choose": "most_row"}},
            (
                "references::stable::choose: unknown value 'most_row' (valid values: longest_lived, most_rows, listed,"
                " off); did you mean 'most_rows'?"
            ),
        ),
        (
            {"stable": {"choose": "listed"}},
            'references::stable: choose: "listed" needs versions (such as {fraud: ["3"]})',
        ),
        (
            {"stable": {"versions": {"fraud": ["3"]}}},
            "references::stable: versions: are not used with choose: 'longest_lived' (choose: \"listed\")",
        ),
        (
            {"stable": {"choose": "off", "dimension": "service.version"}},
            (
                "references::stable: dimension: 'service.version' is not used with choose: 'off'"
                ' (choose: "longest_lived")'
            ),
        ),
        (
            {"stable": {"dimension": 7}},
            "references::stable::dimension: 7 is not valid (a text)",
        ),
        ({"rollup": "5m"}, "references::rollup: 300 s is too short (at least 1h, or 0 for none)"),
        ({"neighbours": 9}, "references::neighbours: 9 is not valid (at most 6)"),
        (
            {"history": {"memory": 5}},
            (
                "references::history::memory: unknown setting (valid settings: memory_mib, series, windows);"
                " did you mean 'memory_mib'?"
            ),
        ),
    ],
)
def test_what_is_wrong_is_said_with_what_would_be_right(raw, said):
    """One line each, with its place."""
    assert problem(raw) == said


def test_settings_do_not_change():
    """After start."""
    with pytest.raises(ValidationError):
        ReferenceSettings().neighbours = 2


@pytest.mark.parametrize(
    ("window", "seasonal"),
    [(HOUR, {"last_day", "last_week"}), (DAY, {"last_week"}), (2 * DAY, {"last_week"}), (WEEK, set())],
)
def test_a_window_has_no_season_shorter_than_itself(window, seasonal):
    """In a window of a day there are no hours to tell apart."""
    assert {"last_day", "last_week"} & set(ReferenceSettings().names(window)) == seasonal
