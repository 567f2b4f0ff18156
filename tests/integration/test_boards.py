"""Boards and rules where they belong: asked of real backends that have watched the demo from beginning to end."""

import json
import re
import subprocess
import sys
import time
import urllib.parse
import urllib.request

import pytest
import yaml
from otlp_sink import OtlpSink
from peers.running import Peers, ask, program

from otel_ml import semconv
from otel_ml.backends.grafana import files as grafana
from otel_ml.backends.prometheus import files as prometheus
from otel_ml.backends.prometheus.rule import RuleOptions
from otel_ml.prometheus_names import metric_name

pytestmark = pytest.mark.slow

# What nothing in the demo makes, or nothing should: where these are asked for, an answer without series is right.
RIGHTLY_ABSENT = {
    semconv.PROCESSOR_DROPPED,
    semconv.PROCESSOR_REFUSED,
    semconv.PROCESSOR_DEAD_LETTERS,
    semconv.PROCESSOR_SNAPSHOTS_MISSING,
    semconv.PROCESSOR_ERRORS,
    semconv.PROCESSOR_OVERFLOW,
    semconv.PROCESSOR_FEATURES_DROPPED,
    semconv.INFERENCE_DROPPED,
    # The model answers with a number: no scores, no classes, no shares of labels.
    semconv.PREDICTION_SCORE,
    semconv.LABEL_SHARE,
    semconv.LABEL_SHARE_LOWER,
    semconv.LABEL_SHARE_UPPER,
    # Servers and baseline hold no rows.
    semconv.MODEL_DRIFT_CLASSIFIER,
    semconv.FEATURE_DRIFT_IMPORTANCE,
    # Values stay of their kind, and finite.
    semconv.FEATURE_TYPE_MISMATCH_RATIO,
    semconv.FEATURE_INFINITE_RATIO,
}
# Failed calls by kind, results that did not arrive, and categories of a number: there are none.
RIGHTLY_EMPTY = {("model", 102, "B"), ("fleet", 208, "B"), ("model", 603, "C")}
# Only VictoriaMetrics: it keeps no histogram of values below zero, and delays are.
NEGATIVE = {("model", 502, ref) for ref in "ABC"}
FIRED = {"MLFeatureDrift", "MLMissingValues", "MLFeatureLost", "MLBadValues"}
SERVERS = ("prometheus", "prometheus with native histograms", "victoriametrics")
CHOSEN = {
    "model": "arrival-delay",
    "version": ".*",
    "feature": "distance",
    "reference": "baseline",
    "statistic": "psi",
    "__rate_interval": "1m",
}


class Watched:
    """A backend, and the time in which it was told of the demo."""

    def __init__(self, name, server, begun, ended):
        self.name, self.server, self.begun, self.ended = name, server, begun, ended
        self.histograms = "native" if "native" in name else "classic"

    def series(self, expr):
        """Every series that the expression gave at any moment of the demo."""
        window = {"start": f"{self.begun:.3f}", "end": f"{self.ended:.3f}", "step": "2"}
        body = urllib.parse.urlencode({"query": expr, **window}).encode()
        try:
            with urllib.request.urlopen(f"{self.server.url}/api/v1/query_range", body, timeout=30) as response:
                answer = json.loads(response.read())
        except urllib.error.HTTPError as error:
            pytest.fail(f"{expr}: {error.read().decode()}")
        assert answer["status"] == "success"
        return answer["data"]["result"]

    def label_values(self, selector, label):
        window = {"start": f"{self.begun:.3f}", "end": f"{self.ended:.3f}"}
        return ask(f"{self.server.url}/api/v1/label/{label}/values", **{"match[]": selector}, **window)["data"]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """All backends that are here, after the demo; instead of one that is not, the reason."""
    folder = tmp_path_factory.mktemp("boards")
    peers = Peers(folder)
    try:
        servers = {name: start(peers, name, folder) for name in SERVERS}
        running = {name: server for name, server in servers.items() if not isinstance(server, pytest.skip.Exception)}
        if not running:
            pytest.skip(str(next(iter(servers.values()))))
        with OtlpSink() as others:
            begun = time.time()
            tell(peers, running, others)
            # The last of what waits is sent when it ends.
            peers.started[-1].stop()
        # Some look at whole minutes alone, and the demo may have taken less than one.
        ended = time.time() // 60 * 60 + 62
        yield {
            name: Watched(name, server, begun, ended) if name in running else server for name, server in servers.items()
        }
    finally:
        peers.close()


@pytest.fixture(params=SERVERS)
def watched(request, demo):
    """Each backend; skipped where it is not here."""
    found = demo[request.param]
    if isinstance(found, pytest.skip.Exception):
        raise found
    return found


def start(peers, name, folder):
    """A backend as its users have it, with our rules where it evaluates rules; or why there is none."""
    try:
        program(name.partition(" ")[0])
    except pytest.skip.Exception as reason:
        return reason
    if name == "victoriametrics":
        return peers.victoriametrics()
    is_native = name != "prometheus"
    of_rules = folder / ("native" if is_native else "classic")
    of_rules.mkdir()
    for file, text in prometheus.files(RuleOptions(histograms="native" if is_native else "classic")).items():
        (of_rules / file).write_text(text)
    config = {"global": {"evaluation_interval": "2s"}, "rule_files": [str(of_rules / "*.rules.yml")]}
    if is_native:
        config["otlp"] = {"convert_histograms_to_nhcb": True}
    return peers.prometheus(config, "--enable-feature=exemplar-storage")


def tell(peers, running, others):
    """Run the demo, with a processor behind it that hands metrics to all backends, the rest to the sink."""
    exporters = {"otlp_grpc/others": {"endpoint": others.endpoint}}
    paths = {"victoriametrics": "/opentelemetry"}
    for place, (name, server) in enumerate(running.items()):
        exporters[f"otlp_http/{place}"] = {"endpoint": server.url + paths.get(name, "/api/v1/otlp")}
    rest = ["otlp_grpc/others"]
    metrics = [name for name in exporters if name not in rest]
    between = peers.processor(exporters=exporters, ways={"metrics": metrics, "traces": rest, "logs": rest})
    command = [sys.executable, "-c", "from otel_ml.cli import main; main()", "demo", "--headless", "--json"]
    arguments = ["--speed", "3", "--port", "0", "--forward", f"grpc://{between.address}"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=300)
    # On a slow machine the story is told too late for some of its windows, which is no matter here.
    assert json.loads(done.stdout)["rows_counted"], done.stderr


def queries(watched):
    """(board, id of the panel, reference, expression) of every query, with values for the variables."""
    for name in grafana.BOARDS:
        board = grafana.board(name, grafana.BoardOptions(histograms=watched.histograms)).rendered()
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                yield name, panel["id"], target["refId"], chosen(target["expr"])
        for annotation in board["annotations"]["list"]:
            yield name, "annotation", annotation["name"], chosen(annotation["expr"])


def chosen(text, values=CHOSEN):
    return re.sub(r"\$\{?(\w+)\}?", lambda found: values[found[1]], text)


def may_be_empty(expr):
    return any(re.search(rf"\b{metric_name(metric)}(_bucket|_count|_sum)?\b", expr) for metric in RIGHTLY_ABSENT)


def test_every_query_of_every_board_finds_data(watched):
    """But for those of what rightly is not there, which have to be understood at least."""
    excused = RIGHTLY_EMPTY | (NEGATIVE if watched.name == "victoriametrics" else set())

    answered = {(board, panel, ref, expr): watched.series(expr) for board, panel, ref, expr in queries(watched)}

    assert len(answered) > 80
    empty = [
        key for key, series in answered.items() if not series and not may_be_empty(key[-1]) and key[:3] not in excused
    ]
    assert empty == []


@pytest.mark.parametrize("statistic", ["psi", "jensen_shannon", "hellinger", "chi_squared", "ks", "wasserstein"])
def test_every_statistic_can_be_chosen(watched, statistic):
    """The variable offers nothing that the processor does not measure by default."""
    board = grafana.board("model", grafana.BoardOptions()).rendered()
    (offered,) = [variable for variable in board["templating"]["list"] if variable["name"] == "statistic"]
    (history,) = [panel for panel in board["panels"] if panel["type"] == "status-history"]

    found = watched.series(chosen(history["targets"][0]["expr"], {**CHOSEN, "statistic": statistic}))

    assert statistic in {option["value"] for option in offered["options"]}
    assert "distance" in {series["metric"]["ml_feature_name"] for series in found}


def test_every_variable_offers_what_is_there(watched):
    """Model, version, features and references, asked for as Grafana does."""
    board = grafana.board("model", grafana.BoardOptions()).rendered()
    offered = {}
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            offered[variable["name"]] = watched.label_values(chosen(selector), label)

    assert offered["model"] == ["arrival-delay"]
    assert offered["version"] == ["1"]
    assert {"distance", "seats", "carrier"} <= set(offered["feature"])
    assert "baseline" in offered["reference"]


def test_every_rule_is_understood_and_those_of_the_story_find_it(watched):
    """Expressions of all rules, with recorded series as what they stand for; `for` aside."""
    texts = prometheus.files(RuleOptions(histograms=watched.histograms))
    rules = [
        rule
        for name in (prometheus.RULES, prometheus.THRESHOLDS)
        for group in yaml.safe_load(texts[name])["groups"]
        for rule in group["rules"]
    ]
    recorded = {rule["record"]: f"({rule['expr']})" for rule in rules if "record" in rule}
    found = {}
    for rule in rules:
        expr = rule["expr"]
        for name, stands_for in recorded.items():
            expr = expr.replace(name, stands_for)
        found[rule.get("alert") or rule["record"]] = watched.series(expr)

    assert {*FIRED, *recorded, "MLFeatureDriftThreshold", "MLMissingThreshold"} <= {
        name for name, series in found.items() if series
    }


def test_prometheus_evaluates_every_rule_and_fires(watched):
    """As users load them, and with the labels that routes and inhibitions go by."""
    if watched.name == "victoriametrics":
        pytest.skip("VictoriaMetrics leaves rules to vmalert")
    groups = ask(f"{watched.server.url}/api/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    fired = watched.series('ALERTS{alertstate="firing"}')

    assert len(rules) > 30
    assert [rule for rule in rules if rule["health"] != "ok"] == []
    assert {series["metric"]["alertname"] for series in fired} >= FIRED
    lost = [series["metric"] for series in fired if series["metric"]["alertname"] == "MLFeatureLost"]
    assert lost[0].items() >= {"severity": "page", "ml_model_name": "arrival-delay", "ml_feature_name": "seats"}.items()


def test_exemplars_lead_to_traces(watched):
    """Of the panels of values, under the name that the data source is provisioned with."""
    if watched.name == "victoriametrics":
        pytest.skip("VictoriaMetrics keeps no exemplars")
    selector = metric_name(semconv.FEATURE_VALUE)
    window = {"start": f"{watched.begun:.3f}", "end": f"{watched.ended:.3f}"}

    found = ask(f"{watched.server.url}/api/v1/query_exemplars", query=selector, **window)["data"]

    labels = found[0]["exemplars"][0]["labels"]
    assert re.fullmatch("[0-9a-f]{32}", labels["trace_id"])
