"""Every word that the processor can count is explained."""

import re
from pathlib import Path

import pytest

from collector_processor.console import guarding
from collector_processor.console.reasons import REASONS, Weight, reason_of
from collector_processor.processors.deduplication import Admission
from collector_processor.processors.plain_histograms import increments
from collector_processor.processors.plain_histograms.series import Skipped
from collector_processor.processors.references import watching
from collector_processor.processors.windows.window import Outcome
from collector_processor.receivers.exports import Verdict
from collector_processor.store.log import refusals
from otel_ml import semconv

SOURCES = Path(__file__).parents[3] / "collector_processor"


def words(pattern, *files):
    """What a pattern finds in sources: if it finds nothing, they changed, and so should the pattern."""
    found = {word for file in files for word in re.findall(pattern, (SOURCES / file).read_text())}
    assert found, (pattern, files)
    return found


UNREADABLE = words(r'(?:_RejectedError\(|rejected\[)"(\w+)"', "receivers/snapshots_in_logs.py")
LOG = {getattr(refusals, name) for name in ("LOG_FULL", "BUSY", "SHUTTING_DOWN", "DISK_FULL", "DISK_ERROR")}
GONE = words(
    r'(?:\.dropped\(\w+, |GaveUpError\(|_count_dropped\([\w.]+, )"(\w+)"',
    "exporters/otlp.py", "exporters/delivery.py", "exporters/patience.py", "exporters/accounting.py",
)  # fmt: skip
MERGED = {outcome.value for outcome in Outcome} | {admission.value for admission in Admission} - {"new"} | {"failed"}
HISTORY = words(r'dropped\["(\w+)"\] [+]=', "processors/references/history.py")

COUNTED = {
    semconv.PROCESSOR_DROPPED: GONE | {f"snapshot_{word}" for word in UNREADABLE},
    semconv.PROCESSOR_REFUSED: {
        *LOG,
        *{verdict.value for verdict in Verdict} - {"taken", "try_again"},
        *words(r'RefusedError\(".*", "(\w+)"\)', "receivers/otlp_http.py"),
        *words(r'was_refused\("(\w+)"\)', "http_server.py"),
        *words(r'try again"\), "(\w+)"', "receivers/exports.py"),
        watching.BASELINE_UNWRITTEN,
    },
    semconv.PROCESSOR_SNAPSHOTS: MERGED | UNREADABLE,
    semconv.PROCESSOR_HISTOGRAMS: {
        *words(r'(?:_RejectedError\(|rejected\[|else )"(\w+)"', "receivers/plain_histograms.py"),
        *{skipped.value for skipped in Skipped},
        *{increments.REDUNDANT, increments.FUTURE, increments.TOO_MANY_BOUNDS},
        *{outcome.value for outcome in Outcome},
    },
    semconv.PROCESSOR_FEATURES_DROPPED: {
        *words(r'(?:features_dropped\[|_add_to_overflow\(window, summary, )"(\w+)"', "processors/windows/adding.py"),
        *{Outcome.LATE.value, Outcome.TOO_MANY_WINDOWS.value, Outcome.TOO_MANY_SEGMENTS.value},
    },
    semconv.PROCESSOR_OVERFLOW: words(r'overflown\["(\w+)"\]', "processors/windows/seating.py")
    | {Outcome.TOO_MANY_SEGMENTS.value},
    semconv.PROCESSOR_WINDOWS: words(r'outcome = "(\w+)"', "processors/evaluation/evaluator.py")
    | words(r'"(revised|failed)"', "processors/drift.py")
    | {"no_baseline"},
    semconv.PROCESSOR_HISTORY_DROPPED: HISTORY | {"incompatible"},
    semconv.PROCESSOR_DEAD_LETTERS: words(r'_count\("(\w+)"', "store/dead_letters.py"),
    semconv.PROCESSOR_CONSOLE_REFUSED: {guarding.WRONG_TOKEN, guarding.TOO_MANY_GUESSES},
    semconv.PROCESSOR_RESULTS: GONE | LOG | {"sent"},
}


@pytest.mark.parametrize("metric", COUNTED, ids=lambda metric: metric.name)
def test_every_word_is_explained(metric):
    """As the code has them: a new one without an explanation is found here."""
    assert COUNTED[metric] - REASONS[metric].keys() == set()


def test_every_metric_that_has_reasons_or_outcomes_is_explained():
    """Wherever one is counted by a reason or an outcome."""
    pattern = re.compile(
        r"semconv\.(PROCESSOR_\w+),(?:(?!semconv\.PROCESSOR).)*?(?:drop_reason|processor_outcome)=", re.DOTALL
    )
    counted = {name for path in SOURCES.rglob("*.py") for name in pattern.findall(path.read_text())}

    assert len(counted) >= 8
    assert {getattr(semconv, name) for name in counted} <= REASONS.keys()


def test_every_loss_says_what_to_do():
    """A problem without a way out is only bad news."""
    silent = [
        (metric.name, word)
        for metric, reasons in REASONS.items()
        for word, reason in reasons.items()
        if reason.weight is Weight.LOSS and not reason.do
    ]

    assert silent == []


def test_every_setting_that_is_named_is_one():
    """So that whoever follows the advice is not told of an unknown setting."""
    settings = "\n".join(path.read_text() for path in SOURCES.rglob("*settings.py"))
    advice = [reason.do for reasons in REASONS.values() for reason in reasons.values()]
    named = {
        part for text in advice for path in re.findall(r"[a-z_]+(?:::[a-z_]+)+", text) for part in path.split("::")
    }

    assert len(named) > 5
    known = set(re.findall(r"^    (\w+):", settings, re.MULTILINE)) | {"processors", "drift", "store"}
    assert named - known == set()


def test_a_word_that_nobody_explains_is_a_worry():
    """Of a version that is newer than the table."""
    found = reason_of(semconv.PROCESSOR_REFUSED, "brand_new")

    assert (found.means, found.weight) == ("brand new", Weight.WORRY)
