"""A console on a history of a test's own, over real HTTP."""

import asyncio
import dataclasses
import time
from contextlib import asynccontextmanager
from html.parser import HTMLParser
from urllib.parse import urlsplit

import httpx
from history_samples import BREACHES, HOUR, alert, figures_of, record, subject

from collector_processor.console.page import Live, Request
from collector_processor.console.server import Console
from collector_processor.console.settings import ConsoleSettings
from collector_processor.history import CallFigures, Column
from collector_processor.self_telemetry import SelfTelemetry
from collector_processor.settings import Address
from collector_processor.store.sqlite import SqliteStore
from otel_ml import semconv
from otel_ml.drawing.frame import frame_of
from otel_ml.sketch.distribution import CategoricalDistribution

NOW = time.time_ns() // HOUR * HOUR
HOSTILE = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "\N{PILE OF POO}\u202eevil\n\tname\x00",
    "../../etc/passwd?a=b&c=d#e",
    "javascript:alert(1)",
    "x" * 1000,
)


@asynccontextmanager
async def stored(*records):
    """A history in memory with these windows."""
    store = SqliteStore(None, 10 * 365 * 86_400.0)
    await store.start()
    try:
        await store.write({}, records)
        yield store
    finally:
        await store.shutdown(1.0)


class Served:
    """A console that runs, and a browser without a memory."""

    def __init__(self, console, telemetry, store, client):
        self.console, self.telemetry, self.store, self.client = console, telemetry, store, client

    async def get(self, path, method="GET", **options):
        return await self.client.request(method, path, **options)

    async def raw(self, request):
        """All that comes back for these bytes, until the server closes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.console.address.port)
        try:
            writer.write(request)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 30)
        finally:
            writer.close()


@asynccontextmanager
async def serving(*records, telemetry=None, verify=True, **settings):
    """A console on these windows."""
    telemetry = telemetry or SelfTelemetry()
    async with stored(*records) as store:
        console = Console(ConsoleSettings(endpoint=Address("127.0.0.1", 0), **settings), store, telemetry)
        await console.start()
        try:
            async with httpx.AsyncClient(base_url=console.url, verify=verify, timeout=30) as client:
                yield Served(console, telemetry, store, client)
        finally:
            await console.shutdown(1.0)


async def asked(page, *records, live=None, now=NOW, **parameters):
    """The content of a page."""
    async with stored(*records) as store:
        return await store.ask(lambda archive: page.query(Request(archive, parameters, live=live or Live(), now=now)))


class Document(HTMLParser):
    """What a browser would find: elements with their attributes, and the text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text += text

    def values(self, name):
        """Of an attribute, wherever it is."""
        return [attributes[name] for _, attributes in self.elements if attributes.get(name) is not None]

    @property
    def links(self):
        return [attributes["href"] for tag, attributes in self.elements if tag == "a" and "href" in attributes]


def is_ours(address):
    parts = urlsplit(address)
    return not parts.scheme and not parts.netloc and not address.startswith("//")


def full_details(column, label):
    """All that details of a window can hold, of one column."""
    score = {"score": 0.4, "threshold": 0.2, "p_value": 1e-9}
    check = {
        "method": "psi", "method_reason": f"psi: {label}", "score": 0.4, "threshold": 0.2, "q_value": 1e-8,
        "is_big": True, "reference": "baseline", "overruled_by": [],
    }  # fmt: skip
    feature = {
        "role": "feature", "name": column, "kind": "categorical", "rows": 500,
        "ratios": {"missing": 0.2, "type_mismatch": 0.0, "unseen_category": 0.1},
        "drift": {"psi": score, "js": {**score, "score": None}}, "effect": 0.7, "rank": 1,
        "moved": [f"{label}: 60.0% → 10.0%"], "attribution": None, "elsewhere": {label: {"psi": score}},
        "checks": {"drift": check, "missing": {**check, "method": "ratio"}}, "labels": None,
        "exemplars": [{"reason": "unseen", "trace_id": "0af7651916cd43dd8448eb211c80319c", "prediction_id": label,
                       "time_unix_nano": NOW}],
    }  # fmt: skip
    prediction = {
        **feature, "role": "prediction", "attribution": {"shares": {column: 0.8}, "unexplained": 0.2},
        "labels": {"score": 0.3, "shares": {label: [0.5, 0.4, 0.6]}}, "exemplars": [], "ratios": {},
    }  # fmt: skip
    return {
        "outcome": "evaluated", "producers": {label: 2}, "joint_insufficient": label, "partial": False, "revision": 1,
        "references": {"baseline": label, "trailing": label},
        "classification": {"auc": 0.8, "p_value": 1e-5, "importances": {column: 0.9}},
        "calls": [{"reason": "slowest", "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "prediction_id": label,
                   "time_unix_nano": NOW, "duration_s": 1.25}],
        "features": [feature, prediction],
    }  # fmt: skip


def named(name, hours=3):
    """Windows of a model in which everything that has a name has this one."""
    frame = frame_of(CategoricalDistribution({name: 60, f"{name}2": 40}))
    columns = [Column(role, name, "categorical", 2.0) for role in ("feature", "prediction")]
    told = {semconv.DRIFT_MOVED: [name], semconv.ALERT_FEATURES: [name], semconv.DRIFT_ATTRIBUTION: [name],
            semconv.EXEMPLAR_TRACE_IDS: [name], semconv.DRIFT_RANK: name}  # fmt: skip
    for segment in ("", f"{name}={name}"):
        whose = subject(name, name, segment)
        for hour in range(hours):
            start = NOW - (hours - hour) * HOUR
            since_end = {semconv.WINDOW_END: start + HOUR}
            alerts = [
                alert(time=start + HOUR, whose=whose, column=name, check="drift", **since_end, **told),
                alert(time=start + HOUR, whose=whose, column=name, check="missing", **{semconv.ALERT_CAUSE: name}),
                alert("resolved", time=start + HOUR, whose=whose, column=name, check=name),
            ]
            figures = figures_of(2, 0.9, flags=BREACHES)
            yield dataclasses.replace(
                record(start, whose=whose, known=columns, figures=figures, drifted=1, compared=2, alerts=alerts,
                       baseline_id=f"{name}{hour}", calls=CallFigures(9, {name: 3}, 0.01, 0.02, 0.03),
                       details=full_details(name, name)),
                frames=[frame] * 2,
            )  # fmt: skip
