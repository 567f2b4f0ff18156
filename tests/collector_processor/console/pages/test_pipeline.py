"""Whether anything is lost, and what to do about it."""

import re
import time
from datetime import datetime, timezone
from itertools import pairwise

import pytest
from console_samples import NOW, Document, asked, serving
from history_samples import SECOND
from otlp_sink import OtlpSink
from processor_samples import MINUTE, Producer, categorical
from running_service import running, until

from collector_processor.component import Signal
from collector_processor.console.page import Live
from collector_processor.console.pages.pipeline import PAGE
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv

OTLP = {semconv.PROCESSOR_SIGNAL: "logs", semconv.PROCESSOR_EXPORTER: "otlp"}


class Clock:
    """A wall clock that stands still unless told."""

    def __init__(self):
        # Ten past seven: far enough from midnight for what these tests let pass.
        self.now = round(datetime(2026, 11, 20, 7, 10, tzinfo=timezone.utc).timestamp()) * SECOND

    def __call__(self):
        return self.now


class Counted(SelfTelemetry):
    """A processor that has one exporter of logs."""

    def __init__(self, pending=0, clock=None, **gauges):
        self.clock = clock or Clock()
        super().__init__(self.clock)
        self.observe(
            lambda: [
                (semconv.PROCESSOR_PENDING, pending, OTLP),
                *((getattr(semconv, f"PROCESSOR_{name.upper()}"), value, {}) for name, value in gauges.items()),
            ]
        )

    def logs(self, metric, amount, **attributes):
        self.count(getattr(semconv, f"PROCESSOR_{metric.upper()}"), amount, processor_signal="logs", **attributes)
        return self

    def wait(self, minutes):
        """Let time pass, with a reading a minute as the service takes them."""
        for _ in range(minutes):
            self.clock.now += MINUTE
            self.read()
        return self

    async def page(self, *samples):
        return await asked(PAGE, live=Live(self.points(), samples, recent=self.recent()), now=self.clock.now)


def flows(found):
    return [
        [flow[name] for name in ("received", "recovered", "forwarded", "dropped", "consumed", "pending", "unexplained")]
        for flow in found["flows"]
    ]


async def test_a_processor_that_has_just_started_loses_nothing():
    """Whether or not it has counted anything."""
    nothing, begun = await asked(PAGE), await Counted(log_size=0, log_limit=1000).page()

    assert (nothing["state"], nothing["flows"], nothing["log"]) == ("ok", [], None)
    assert (begun["state"], flows(begun)) == ("ok", [[0] * 7])
    assert begun["log"] == {"size": 0, "limit": 1000, "share": 0.0}


async def test_everything_that_came_in_is_accounted_for():
    """What could not be read is dropped on behalf of every exporter; what another one did is another one's."""
    telemetry = Counted(pending=7).logs("received", 100).logs("recovered", 5, processor_exporter="otlp")
    telemetry.logs("forwarded", 60, processor_exporter="otlp").logs("consumed", 20)
    telemetry.logs("dropped", 15, processor_exporter="otlp", drop_reason="shutdown")
    telemetry.logs("dropped", 3, drop_reason="snapshot_corrupt")
    telemetry.logs("forwarded", 999, processor_exporter="another")

    found = await telemetry.page()

    assert flows(found) == [[100, 5, 60, 18, 20, 7, 0]]
    assert found["state"] == "losses"
    assert len(found["losses"]) == 2


async def test_what_is_not_accounted_for_is_told():
    """That would be a fault of ours, and the reason for the page."""
    found = await Counted(pending=1).logs("received", 10).page()

    assert found["losses"] == ["9 logs to otlp are not accounted for: a fault of ours"]


async def test_a_running_processor_adds_up(tmp_path):
    """The real one, after real requests."""
    with OtlpSink() as sink:
        async with running(tmp_path, sink) as service:
            producer = Producer()
            column = categorical("country", {"NO": 5})
            await service.snapshots(producer.snapshot(column), producer.snapshot(column))
            await until(lambda: not any(e.pending(Signal.LOGS) for e in service.service.exporters.values()))

            found = await asked(PAGE, live=service.service.console.live())

    assert [flow[6] for flow in flows(found)] == [0, 0, 0]
    assert sum(outcome["count"] for outcome in found["snapshots"]) == 2
    assert (found["losses"], found["state"]) == ([], "ok")


async def test_a_running_processor_takes_readings(tmp_path, monkeypatch):
    """While nobody looks: what was counted becomes old."""
    monkeypatch.setattr("collector_processor.self_telemetry.EVERY_S", 0.01)
    with OtlpSink() as sink:
        async with running(tmp_path, sink) as service:
            telemetry = service.service.telemetry
            telemetry.count(semconv.PROCESSOR_OVERFLOW, drop_reason="too_many_models")

            def latest_before(moment):
                found = {name: recent.latest_unix_nano for (name, _), recent in telemetry.recent().items()}
                return found[semconv.PROCESSOR_OVERFLOW.name] < moment

            # As long as no reading has seen it, it is of the moment of the question.
            await until(lambda: latest_before(time.time_ns()))


async def test_every_problem_says_what_it_means_and_what_to_do():
    """In the sentences on top as well."""
    telemetry = Counted().logs("refused", 4, drop_reason="log_full").logs("refused", 2, drop_reason="undecodable")

    found = await telemetry.page()

    assert [(problem["reason"], problem["weight"]) for problem in found["problems"]] == [
        ("log_full", "worry"),
        ("undecodable", "loss"),
    ]
    assert "store::log::max_size_mib" in found["problems"][0]["do"]
    said = "since start at 07:10 UTC"
    assert found["losses"] == [f"logs refused, undecodable, 2 in the last hour, 2 {said}: the request is no OTLP"]
    assert found["worries"][0].startswith(f"logs refused, log_full, 4 in the last hour, 4 {said}: the log is full")


async def test_an_unreadable_snapshot_is_told_once():
    """It is dropped, and an outcome of snapshots: one loss."""
    telemetry = Counted().logs("received", 3).logs("dropped", 3, drop_reason="snapshot_corrupt")
    telemetry.count(semconv.PROCESSOR_SNAPSHOTS, 3, processor_outcome="corrupt")

    assert len((await telemetry.page())["losses"]) == 1


@pytest.mark.parametrize(
    ("gauges", "word"),
    [
        ({"log_size": 90, "log_limit": 100}, "the log is 90% full"),
        ({"dead_letters_held": 3}, "3 dead letters wait"),
    ],
)
async def test_what_fills_up_is_a_worry_and_no_loss(gauges, word):
    """There is still time."""
    found = await Counted(**gauges).page()

    assert found["state"] == "look"
    assert word in found["worries"][0]
    assert found["losses"] == []


async def test_a_backend_that_locks_us_out_is_named():
    """Somebody has to act, for it will not pass."""
    telemetry = Counted()
    telemetry.observe(lambda: [(semconv.PROCESSOR_BLOCKED, 1, {semconv.PROCESSOR_EXPORTER: "otlp/main"}),
                               (semconv.PROCESSOR_BLOCKED, 0, {semconv.PROCESSOR_EXPORTER: "otlp/other"})])  # fmt: skip

    found = await telemetry.page()

    assert found["blocked"] == ["otlp/main"]
    assert "otlp/main" in found["worries"][0]


async def test_snapshots_that_never_arrived_are_lost():
    """As gaps in the sequences of processes tell."""
    telemetry = Counted()
    telemetry.count(semconv.PROCESSOR_SNAPSHOTS_MISSING, 12)

    found = await telemetry.page()

    assert (found["missing"], found["state"]) == (12, "losses")


async def test_late_rows_are_a_share_of_all_rows_of_their_model():
    """One late row in a million is no reason to change anything."""
    telemetry = Counted()
    telemetry.count(semconv.PROCESSOR_ROWS, 90, model_name="fraud", model_version="3")
    telemetry.count(semconv.PROCESSOR_ROWS_LATE, 10, model_name="fraud", model_version="3")
    telemetry.count(semconv.PROCESSOR_ROWS, 90, model_name="churn", model_version="1")

    assert (await telemetry.page())["late"] == [
        {"model": "fraud", "version": "3", "rows": 90, "late": 10, "share": 0.1}
    ]


async def test_rates_are_what_came_between_samples():
    """Per second; a counter that began anew is no negative rate."""
    name = semconv.PROCESSOR_RECEIVED.name
    values = [0, 100, 150, 20]
    samples = [(NOW + place * 10 * SECOND, {name: float(value)}) for place, value in enumerate(values)]

    rates = (await Counted().page(*samples))["rates"]

    assert rates["times"] == [time for _, (time, _) in pairwise(samples)]
    assert {line["label"]: line["values"] for line in rates["lines"]} == {
        "received": [10.0, 5.0, 0.0], "forwarded": [0.0] * 3, "consumed": [0.0] * 3, "dropped": [0.0] * 3,
    }  # fmt: skip


async def test_a_hostile_exporter_or_reason_stays_text():
    """Names of exporters come from a file, those of models from whoever sends."""
    telemetry = Counted().logs("dropped", 1, processor_exporter="<b>x</b>", drop_reason="<script>alert(1)</script>")
    telemetry.count(semconv.PROCESSOR_ROWS_LATE, 1, model_name="<img src=x>", model_version="")
    async with serving(telemetry=telemetry) as served:
        page, data = await served.get("/pipeline"), await served.get("/pipeline.json")

    assert page.status_code == data.status_code == 200
    for text in ("<b>x</b>", "<script>alert(1)</script>", "<img src=x>"):
        assert text not in page.text
        assert text in data.text.replace("\\", "")


async def test_the_page_says_on_top_whether_anything_is_lost():
    """In one sentence."""
    async with serving(telemetry=Counted(pending=0)) as served:
        fine = await served.get("/pipeline")
    lossy = Counted(pending=1).logs("received", 3).logs("dropped", 2, processor_exporter="otlp", drop_reason="shutdown")
    async with serving(telemetry=lossy) as served:
        lost = await served.get("/pipeline")

    assert re.search(r'class="lead">Nothing is lost\.', fine.text)
    assert re.search(r'class="lead">Something was lost in the last hour:', lost.text)
    assert "set store::directory" in lost.text.lower()


async def test_what_was_lost_in_the_last_hour_is_told_beside_the_total():
    """Whoever looks wants to know how it is now, and how it was."""
    telemetry = Counted().logs("dropped", 328, processor_exporter="otlp", drop_reason="shutdown").wait(90)
    telemetry.logs("dropped", 7, processor_exporter="otlp", drop_reason="shutdown").wait(30)
    telemetry.logs("dropped", 5, processor_exporter="otlp", drop_reason="shutdown")

    found = await telemetry.page()

    (loss,) = [sentence for sentence in found["losses"] if "shutdown" in sentence]
    assert loss.startswith("logs dropped (otlp), shutdown, 12 in the last hour, 340 since start at 07:10 UTC: ")
    assert (found["problems"][0]["lately"], found["problems"][0]["count"]) == (12, 340)
    assert found["last_loss"] == telemetry.clock.now
    assert [(flow["dropped_lately"], flow["dropped"]) for flow in found["flows"]] == [(12, 340)]


async def test_an_hour_after_the_last_loss_it_is_calm_and_says_when_that_was():
    """A restart is no way to get a quiet page."""
    telemetry = Counted().logs("refused", 2, drop_reason="undecodable").wait(1)
    last = telemetry.clock.now
    states = [(await telemetry.wait(minutes).page())["state"] for minutes in (58, 1, 1)]

    found = await telemetry.page()

    assert states == ["losses", "losses", "ok"]
    (loss,) = found["past_losses"]
    assert (found["losses"], found["last_loss"]) == ([], last)
    assert loss == (
        "logs refused, undecodable, none in the last hour, 2 since start at 07:10 UTC, the last at 07:11 UTC:"
        " the request is no OTLP"
    )


async def test_a_loss_of_another_day_is_told_with_its_date():
    """A time alone would be of today."""
    telemetry = Counted().logs("refused", 2, drop_reason="undecodable").wait(1)
    telemetry.clock.now += 24 * 60 * MINUTE

    (loss,) = (await telemetry.page())["past_losses"]

    assert "2 since start at 2026-11-20 07:10 UTC, the last at 2026-11-20 07:11 UTC" in loss


@pytest.mark.parametrize(
    ("metric", "attributes", "list_of"),
    [
        ("SNAPSHOTS_MISSING", {}, "losses"),
        ("DROPPED", {"processor_signal": "traces", "drop_reason": "log_damaged"}, "losses"),
        ("REFUSED", {"processor_signal": "logs", "drop_reason": "log_full"}, "worries"),
        ("OVERFLOW", {"drop_reason": "too_many_models"}, "worries"),
        ("ERRORS", {"processor_task": "evaluate"}, "worries"),
    ],
)
async def test_whatever_is_counted_is_told_of_as_now_for_an_hour(metric, attributes, list_of):
    """Losses and what somebody should look at alike."""
    telemetry = Counted()
    telemetry.count(getattr(semconv, f"PROCESSOR_{metric}"), 3, **attributes)

    at_once, later = await telemetry.page(), await telemetry.wait(61).page()
    telemetry.count(getattr(semconv, f"PROCESSOR_{metric}"), 1, **attributes)
    again = await telemetry.page()

    told = [(len(found[list_of]), len(found[f"past_{list_of}"])) for found in (at_once, later, again)]
    assert told == [(1, 0), (0, 1), (1, 0)]
    assert [found["state"] == "ok" for found in (at_once, later, again)] == [False, True, False]


async def test_what_waits_now_is_told_however_long_it_does():
    """It is not over because it is old."""
    telemetry = Counted(log_size=90, log_limit=100, dead_letters_held=3).wait(300)

    assert len((await telemetry.page())["worries"]) == 2


async def test_the_page_and_its_twin_say_the_same_of_now_and_before():
    """Every sentence, and nothing in the colour of a loss once an hour has passed."""
    telemetry = Counted().logs("dropped", 3, processor_exporter="otlp", drop_reason="shutdown")
    telemetry.count(semconv.PROCESSOR_SNAPSHOTS_MISSING, 2)
    telemetry.logs("received", 3)
    async with serving(telemetry=telemetry) as served:
        first, first_data = await served.get("/pipeline"), (await served.get("/pipeline.json")).json()
        telemetry.wait(90)
        later, later_data = await served.get("/pipeline"), (await served.get("/pipeline.json")).json()

    assert (first_data["state"], len(first_data["losses"])) == ("losses", 2)
    assert (later_data["state"], later_data["losses"], len(later_data["past_losses"])) == ("ok", [], 2)
    for page, data in ((first, first_data), (later, later_data)):
        text = Document(page.text).text
        assert all(sentence in text for sentence in data["losses"] + data["past_losses"])
    assert 'class="lost"' in first.text
    assert "lost" not in " ".join(Document(later.text).values("class")).split()
    assert re.search(r'class="lead">Nothing was lost in the last hour\.', later.text)
    assert "The last loss was at 2026-11-20 07:11:00 UTC." in Document(later.text).text
