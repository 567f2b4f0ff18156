"""What is told on the occasion of a window: events for whoever listens, the same for the history."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from collector_processor.component import Event
from collector_processor.history import AlertRecord
from collector_processor.processors import report
from collector_processor.processors.alerts import AlertBook
from collector_processor.processors.common_changes import CommonChanges, Standing
from collector_processor.processors.evaluation import COMMON_CHANGE, DRIFT, WindowEvaluation
from collector_processor.processors.record import alert_record
from collector_processor.processors.series import ConceptAlarm
from collector_processor.processors.series.alarms import alarm_event


class News(NamedTuple):
    """Events, and what the history keeps of them."""

    events: list[Event]
    records: list[AlertRecord]


def news(
    window: WindowEvaluation,
    alerts: AlertBook,
    common_changes: CommonChanges,
    standing: Standing | None,
    alarms: Iterable[ConceptAlarm],
    now_unix_nano: int,
) -> News:
    """Take a window into the alerts, and return what there is to tell.

    Args:
        standing: What it says about a change that many features have in common.
        alarms: Series that changed in it.
    """
    found = News([], [])
    # First, for alerts of single features refer to it.
    told = None if standing is None else common_changes.tell(window, standing)
    if told is not None:
        found.events.append(report.common_change_event(told, now_unix_nano))
        found.records.append(alert_record(found.events[-1], window.model))
    for transition in alerts.observe(window):
        key = transition.key
        is_part = key.check == DRIFT and common_changes.explains(key.model, key.feature)
        events = report.events(transition, now_unix_nano, COMMON_CHANGE if is_part else alerts.told_by(key))
        found.events.extend(events)
        found.records.append(alert_record(events[0], window.model, window.segment, key.feature))
    for alarm in alarms:
        found.events.append(alarm_event(alarm, now_unix_nano))
        found.records.append(alert_record(found.events[-1], window.model, None, alarm.feature))
    return found
