"""What each reason and outcome that the processor counts means, how bad it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final, NamedTuple

from otel_ml import semconv
from otel_ml.semconv import Metric


class Weight(Enum):
    """How bad something is."""

    FINE = "fine"
    WORRY = "worry"
    """Nothing is gone, but somebody should look."""
    LOSS = "loss"
    """Something is gone, or in no window."""


class Reason(NamedTuple):
    """What a word that is counted means.

    Attributes:
        do: What to do about it; empty where there is nothing to do.
    """

    means: str
    do: str = ""
    weight: Weight = Weight.LOSS


_AGAIN: Final = "clients keep what they send and come back"
_CLOCK: Final = "Compare the clocks of the machines (chrony, NTP)."
_ROOM: Final = "Find out why the backend takes so little, or raise store::log::max_size_mib."
_LIMITS: Final = "Send fewer different names, or raise processors::drift::limits::{}."
_VERSIONS: Final = "Bring otel-ml beside the model and the processor to the same version."
_ON_THE_WAY: Final = "Look for a processor on the way here that changes log records, and take it out."

_UNREADABLE: Final = {
    "unknown_encoding": Reason("a snapshot is written in a way that this version does not read", _VERSIONS),
    "missing_payload": Reason("a snapshot arrived without its payload", _ON_THE_WAY),
    "missing_checksum": Reason("a snapshot arrived without its checksum", _ON_THE_WAY),
    "wrong_checksum": Reason("a snapshot was changed on the way here", _ON_THE_WAY),
    "corrupt": Reason("a snapshot's payload is none", _VERSIONS),
}
_GONE: Final = {
    "rejected_by_backend": Reason(
        "the backend refuses it for good; unless it was part of a larger request, it is a dead letter",
        "See what the backend says: otel-ml dead-letters list; then resend them.",
    ),
    "retries_exhausted": Reason(
        "the backend did not take it within retry_on_failure::max_elapsed_time",
        "Set max_elapsed_time to 0s: then it waits in the log for as long as there is room.",
    ),
    "shutdown": Reason(
        "the processor stopped before the backend took it, and its log is in memory",
        "Set store::directory: then it waits on disk for the next start.",
    ),
    "log_damaged": Reason("the file of the log was damaged, and could not give it back", "Look after the disk."),
    "failure": Reason(
        "a failure of our own, several times; it is a dead letter now",
        "Read the traceback in the processor's log, and tell us.",
    ),
}
_FULL: Final = {
    "log_full": Reason(f"the log is full; {_AGAIN}", _ROOM, Weight.WORRY),
    "busy": Reason(
        f"too much waited for the disk; {_AGAIN}",
        "A faster disk, or a larger store::log::max_waiting_mib.",
        Weight.WORRY,
    ),
    "shutting_down": Reason(f"the processor was stopping; {_AGAIN}", "", Weight.FINE),
    "disk_full": Reason(f"the disk is full; {_AGAIN}", "Make room where store::directory is.", Weight.WORRY),
    "disk_error": Reason(f"the disk fails; {_AGAIN}", "Look after the disk that store::directory is on.", Weight.WORRY),
}
_WINDOW: Final = {
    "merged": Reason("added to its window", "", Weight.FINE),
    "amended": Reason("added to a window that was evaluated, and is evaluated again", "", Weight.FINE),
    "late": Reason(
        "it came when its window was closed for good; it is a dead letter",
        "Raise processors::drift::lateness, or find out what delays it.",
    ),
    "future": Reason("it claims a time far ahead of our clock; it is a dead letter", _CLOCK),
    "too_many_windows": Reason(
        "too many windows of the model are open; it is a dead letter",
        _CLOCK + " Or raise processors::drift::limits::open_windows.",
    ),
    "too_many_segments": Reason("a slice beyond those that are kept apart", _LIMITS.format("segments")),
    "redundant": Reason("it says again what was counted already", "", Weight.FINE),
    "duplicate": Reason("it was sent twice, and counted once", "", Weight.FINE),
    "too_old": Reason("so late that nobody remembers whether it was counted", "Find out what delays it."),
    "forgotten": Reason("of a process that was forgotten for there were too many", _LIMITS.format("producers")),
    "failed": Reason("a failure of our own", "Read the traceback in the processor's log, and tell us."),
}
_MISUSE: Final = "Correct what sends it: it will not be taken later."

REASONS: Final[Mapping[Metric, Mapping[str, Reason]]] = {
    semconv.PROCESSOR_DROPPED: {
        **_GONE,
        **{f"snapshot_{name}": reason for name, reason in _UNREADABLE.items()},
        "baseline": Reason(
            "somebody pushed a baseline that was not taken; who sent it was told why",
            "Name a folder in processors::drift::accept_baselines, or push an intact file.",
        ),
    },
    semconv.PROCESSOR_REFUSED: {
        **_FULL,
        "baseline_unwritten": Reason(
            f"a baseline that somebody pushed could not be written; {_AGAIN}",
            "Make room in the folder that processors::drift::accept_baselines names, or let the processor write there:"
            " its log says why.",
            Weight.WORRY,
        ),
        "undecodable": Reason("the request is no OTLP", _MISUSE),
        "too_large": Reason(
            "the request is larger than the limit",
            "Send smaller batches, or raise max_request_body_size_mib or max_recv_msg_size_mib of the receiver.",
        ),
        "unauthenticated": Reason(
            "the client has no token of ours",
            "Set OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20… there.",
        ),
        "unsupported": Reason("the request is of another type or compression", _MISUSE),
        "unread": Reason("the client left before its request was complete", "", Weight.FINE),
        "failure": Reason(
            f"a failure of our own; {_AGAIN}", "Read the traceback in the processor's log, and tell us.", Weight.WORRY
        ),
        "receiving": Reason(
            f"too much was being received at a time; {_AGAIN}", "Send smaller batches, or less at a time.", Weight.WORRY
        ),
        "connections": Reason(
            f"too many connections; {_AGAIN}", "Raise max_connections of the receiver.", Weight.WORRY
        ),
        "not_http": Reason("somebody does not speak HTTP, or TLS where there is none", _MISUSE, Weight.WORRY),
    },
    semconv.PROCESSOR_SNAPSHOTS: {**_WINDOW, **_UNREADABLE},
    semconv.PROCESSOR_HISTOGRAMS: {
        **_WINDOW,
        "empty": Reason("nothing was counted since the last one", "", Weight.FINE),
        "reference": Reason("the first of a series that began earlier: later ones count from it", "", Weight.FINE),
        "reset": Reason("less than before: later ones count from it", "", Weight.FINE),
        "own": Reason("we made it ourselves", "", Weight.FINE),
        "too_many_series": Reason("a series beyond those that are remembered", _LIMITS.format("producers")),
        "too_many_bounds": Reason("more kinds of bucket bounds than are kept apart", "Use the same bounds everywhere."),
        "no_temporality": Reason("neither cumulative nor delta", _MISUSE),
        "no_value": Reason("flagged as without a value", "", Weight.FINE),
        "time": Reason("its times are none, or the wrong way round", _MISUSE),
        "no_model": Reason("it does not say of which model", "Name it: processors::drift::histograms."),
        "no_feature": Reason("it does not say of which column", "Name it: processors::drift::histograms."),
        "long_name": Reason("its model or column has a name that is too long", "Shorten the name."),
        "count": Reason("its buckets do not add up to its count", _MISUSE),
        "too_many_buckets": Reason("more buckets than are read", "Use fewer bounds, or exponential histograms."),
        "no_buckets": Reason("one bucket for everything tells nothing", "Give it bounds."),
        "buckets": Reason("its counts do not fit its bounds", _MISUSE),
        "bounds": Reason("its bounds do not rise", _MISUSE),
        "scale": Reason("its buckets are too wide or too narrow", "Use the scale that an SDK chooses by itself."),
        "zero_threshold": Reason("its bucket for zero is none", _MISUSE),
        "offset": Reason("its buckets lie beyond what numbers can be", _MISUSE),
    },
    semconv.PROCESSOR_FEATURES_DROPPED: {
        "incompatible": Reason(
            "a column cannot be added to what the window holds of it",
            "Use the same baseline in all processes of a version: its bins are what columns have in common.",
        ),
        "too_many_features": Reason("a column beyond those that are kept apart", _LIMITS.format("features")),
        "memory": Reason("windows take all the memory they may", "Raise processors::drift::limits::memory_mib."),
        "late": _WINDOW["late"]._replace(means="its window of the deployment was closed"),
        "too_many_windows": _WINDOW["too_many_windows"]._replace(means="too many windows of the deployment are open"),
        "too_many_segments": _WINDOW["too_many_segments"],
    },
    semconv.PROCESSOR_OVERFLOW: {
        "too_many_models": Reason("a model beyond those that are kept apart", _LIMITS.format("models"), Weight.WORRY),
        "too_many_versions": Reason("a version beyond those of its model", _LIMITS.format("versions"), Weight.WORRY),
        "too_many_segments": Reason("a slice beyond those of its model", _LIMITS.format("segments"), Weight.WORRY),
    },
    semconv.PROCESSOR_WINDOWS: {
        "evaluated": Reason("compared with what it should be like", "", Weight.FINE),
        "revised": Reason("evaluated again, with what came late", "", Weight.FINE),
        "insufficient_rows": Reason("too few rows to conclude anything from", "", Weight.FINE),
        "no_baseline": Reason(
            "nothing to compare it with", "Build one: otel-ml baseline build train.parquet --model NAME.", Weight.WORRY
        ),
        "overflow": Reason("of several models or versions: only counted", _LIMITS.format("models"), Weight.WORRY),
        "failed": _WINDOW["failed"],
    },
    semconv.PROCESSOR_HISTORY_DROPPED: {
        "corrupt": Reason("a past window could not be read", "Look after the disk.", Weight.WORRY),
        "incompatible": Reason("past windows do not fit together", "It passes with new windows.", Weight.WORRY),
        "too_many_series": Reason("a model beyond those that are remembered", _LIMITS.format("models"), Weight.WORRY),
        "too_many_windows": Reason("more past windows than are remembered", "", Weight.WORRY),
        "memory": Reason(
            "past windows take all the memory they may",
            "Raise processors::drift::references::history::memory_mib.",
            Weight.WORRY,
        ),
    },
    semconv.PROCESSOR_DEAD_LETTERS: {
        "kept": Reason("kept for somebody to look at", "otel-ml dead-letters list", Weight.WORRY),
        "evicted": Reason(
            "made room for newer ones", "Look at them sooner, or raise store::dead_letters::max_size_mib."
        ),
        "failed": Reason("could not be written", "Look after the disk that store::directory is on."),
    },
    semconv.PROCESSOR_CONSOLE_REFUSED: {
        "wrong_token": Reason("somebody asked the console with a wrong token", "", Weight.FINE),
        "too_many_guesses": Reason(
            "so many tokens were wrong that further ones from there were not looked at",
            "Find out who guesses, or which program has an old token.",
            Weight.WORRY,
        ),
    },
    semconv.PROCESSOR_RESULTS: {**_GONE, **_FULL, "sent": Reason("the backend has it", "", Weight.FINE)},
}


def reason_of(metric: Metric, word: str) -> Reason:
    """What a word means where it is counted; one that nobody explains is a worry."""
    return REASONS[metric].get(word, Reason(f"{word.replace('_', ' ')}", "", Weight.WORRY))
