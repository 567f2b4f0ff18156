"""What is shown, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from otel_ml.demo.backend import AlertEvent, Column, Received
from otel_ml.demo.scenario import Scenario
from otel_ml.demo.traffic import Statistics
from otel_ml.demo.view import LiveView, PlainView, Scene, ending, firing, render, sparkline, view

SCENARIO = Scenario()


def alert(name, column, state):
    """An alert's event."""
    return AlertEvent(name, column, False, state, 0.94, 0.2, "PSI 0.94 > 0.20, n=6148", 0, 0)


def scene(elapsed_s=20.0, alerts=(), windows=4):
    """A moment of the replay; 20 s is in the incident."""
    column = Column()
    for score in (0.01, 0.2, 0.94):
        column.add("drift", score)
    column.add("missing", 0.512)
    moment = SCENARIO.moment(elapsed_s)
    received = Received(rows_counted=999, windows=windows, columns={"distance": column}, alerts=list(alerts))
    return Scene(moment, SCENARIO, Statistics(moment, requests=5, rows=1234), received)


def drawn(shown, width=140, height=50):
    """The page as text."""
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(render(shown, height))
    return console.file.getvalue()


def test_a_sparkline_has_a_character_a_window():
    """Low scores are low, and nothing is higher than the top."""
    assert sparkline([0.0, 0.25, 0.5, 7.0]) == "▁▅██"


def test_what_has_resolved_does_not_fire():
    """Only alerts that fired and have not resolved."""
    events = [
        alert("drift", "distance", "firing"),
        alert("missing", "seats", "firing"),
        alert("drift", "distance", "resolved"),
    ]

    assert firing(events) == {"seats": ["missing"]}


def test_the_page_shows_date_rows_phase_scores_and_reasons():
    """Everything one has to see to believe it."""
    page = drawn(scene(alerts=[alert("drift", "distance", "firing")]))

    for shown in (
        "Tue 29 Oct 2013", "incident", "1,234 rows sent", "999 counted", "kilometres", "▁▄█", "0.940", "51.2%",
        "distance: drift: PSI 0.94 > 0.20, n=6148",
    ):  # fmt: skip
        assert shown in page


def test_the_page_fits_an_ordinary_terminal():
    """80 by 24, in the incident, with more alerts than there is room for."""
    alerts = [alert("unseen_category", f"column_{index}", "firing") for index in range(9)]

    lines = drawn(scene(alerts=alerts), width=80, height=24).splitlines()

    assert len(lines) <= 24
    assert any("column_8" in line for line in lines)


def test_the_page_begins_empty():
    """Before the first window there is nothing to show, and nothing breaks."""
    moment = SCENARIO.moment(0)

    page = drawn(Scene(moment, SCENARIO, Statistics(moment), Received()))

    assert "no alert so far" in page
    assert "departure_delay" in page


def test_lines_say_what_is_new_and_only_once():
    """A phase, a window, an alert."""
    stream = io.StringIO()
    with PlainView(stream) as plain:
        for _ in range(3):
            plain.update(scene(alerts=[alert("drift", "distance", "firing")]))

    lines = stream.getvalue().splitlines()
    assert [line for line in lines if "incident" in line] == ["29 Oct  incident: an upstream feed changed"]
    assert [line for line in lines if "FIRING" in line] == ["29 Oct  FIRING  distance: drift: PSI 0.94 > 0.20, n=6148"]
    assert len([line for line in lines if "4 windows" in line]) == 1


@pytest.mark.parametrize(("plain", "is_terminal", "expected"), [(True, True, PlainView), (False, False, PlainView)])
def test_lines_where_a_page_is_not_wanted_or_not_possible(plain, is_terminal, expected):
    """`--headless`, pipes and files."""
    stream = io.StringIO()
    stream.isatty = lambda: is_terminal

    assert isinstance(view(plain=plain, stream=stream), expected)


def test_a_terminal_gets_a_page(monkeypatch):
    """Where it can be drawn anew."""
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = io.StringIO()
    stream.isatty = lambda: True

    assert isinstance(view(plain=False, stream=stream), LiveView)


def test_the_page_leaves_the_terminal_as_it_was():
    """The cursor is back, and what was said stands there."""
    stream = io.StringIO()
    with LiveView(Console(file=stream, force_terminal=True, width=140)) as live:
        live.say("Training [not markup] …")
        live.update(scene())
        live.update(scene(25.0))

    written = stream.getvalue()
    assert "Training [not markup] …" in written
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")


def content(**changes):
    """The parts of a report that the ending tells."""
    return {
        "alerts": [
            {
                "feature": "distance", "name": "drift", "reason": "PSI 0.94 > 0.20",
                "fired_in_replay": "2013-11-05T00:00", "resolved_in_replay": "2013-11-26T00:00", "resolved_at": "x",
            }
        ],
        "rows_sent": 63560, "rows_counted": 63560, "bytes_per_feature": 227.2, "forward": None,
        "seconds_since_launch": {"total": 64.5}, **changes,
    }  # fmt: skip


def test_the_end_names_what_to_try_next(tmp_path):
    """Three commands, and where the files are if they were kept."""
    text = "\n".join(ending(content(), tmp_path))

    assert "distance: drift fired on 2013-11-05 (PSI 0.94 > 0.20), resolved on 2013-11-26" in text
    for command in ("opentelemetry-instrument", "otel-ml baseline build", "otel-ml processor --config"):
        assert command in text
    assert str(tmp_path) in text


def test_the_end_says_what_another_backend_took():
    """Also when it took nothing."""
    took = ending(content(forward={"url": "grpc://b", "items": {"traces": 9, "logs": 1000}}), None)
    nothing = ending(content(forward={"url": "grpc://b", "items": {}}), None)

    assert "grpc://b took 1,000 logs, 9 traces." in took
    assert "grpc://b took nothing." in nothing
