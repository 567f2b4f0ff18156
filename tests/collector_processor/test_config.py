"""Everything wrong with a configuration is found at once, at its place, with what would be right."""

from pathlib import Path

import pytest

from collector_processor import config
from collector_processor.component import Signal
from collector_processor.errors import InvalidConfigurationError
from collector_processor.settings import Address
from otel_ml.baseline import Baseline
from otel_ml.drift import BUILTIN_DETECTORS

VALID = """
receivers: {otlp: {protocols: {grpc: {endpoint: "127.0.0.1:0"}}}}
processors: {drift: {window: 1m}}
exporters: {otlp_grpc: {endpoint: "http://127.0.0.1:4318"}}
service:
  pipelines:
    metrics: {receivers: [otlp], exporters: [otlp_grpc]}
    logs: {receivers: [otlp], processors: [drift], exporters: [otlp_grpc]}
"""


@pytest.fixture
def load(tmp_path):
    """Loads a configuration from text, with only the given environment."""

    def load_text(text, **environment):
        path = tmp_path / "processor.yaml"
        path.write_text(text, encoding="utf-8")
        return config.load(path, environment)

    return load_text


@pytest.fixture
def problems(load):
    """The problems of a configuration, as text."""

    def problems_of(text, **environment):
        with pytest.raises(InvalidConfigurationError) as caught:
            load(text, **environment)
        return [str(problem) for problem in caught.value.problems]

    return problems_of


def replaced(old, new):
    assert old in VALID
    return VALID.replace(old, new)


def test_a_valid_file_is_read_whole(load):
    """With every default in place."""
    loaded = load(VALID)

    assert loaded.drift.window == 60.0
    assert loaded.receivers["otlp"].protocols.grpc.endpoint == Address("127.0.0.1", 0)
    assert set(loaded.pipelines) == {Signal.METRICS, Signal.LOGS}
    assert "psi" in loaded.detectors


@pytest.mark.parametrize("name", ["processor.yaml"])
def test_the_example_is_valid(name):
    """What we ship works."""
    path = Path(__file__).parents[2] / "deploy" / name

    assert config.load(path, {}).drift is not None


def test_variables_are_replaced_and_keep_their_type(load):
    """A number from the environment is a number; a default stands in for what is unset or empty."""
    text = replaced("window: 1m", "window: '${env:WINDOW:-2m}', min_rows: '${env:ROWS}', baselines: []").replace(
        "127.0.0.1:4318", "${env:HOST}:${env:PORT:-99}"
    )

    loaded = load(text, ROWS="50", HOST="backend", WINDOW="")

    assert (loaded.drift.window, loaded.drift.min_rows) == (120.0, 50)
    assert str(loaded.exporters["otlp_grpc"].endpoint.address) == "backend:99"


def test_two_dollars_are_one(load):
    """For values that need the sign itself."""
    text = replaced('4318"}', '4318", headers: {token: "a$$b"}}')

    assert load(text).exporters["otlp_grpc"].headers == {"token": "a$b"}


# What is changed in the valid file, and the one line it should say.
CATALOGUE = {
    "unknown setting": (
        ("window: 1m", "windw: 1m"),
        (
            "processors::drift::windw: unknown setting (valid settings: accept_baselines, alerts, allowed_lateness,"
            " baselines, classifier, concept, decide_by, detectors, forward_snapshots, histograms, lateness, limits,"
            " max_future, min_rows, quality, references, repeat, slow_drift, window);"
            " did you mean 'window'?"
        ),
    ),
    "nested unknown setting": (
        ("grpc: {endpoint", "grpc: {endpont"),
        (
            "receivers::otlp::protocols::grpc::endpont: unknown setting (valid settings: allow_insecure, auth,"
            " endpoint, keepalive, max_concurrent_streams, max_recv_msg_size_mib, tls); did you mean 'endpoint'?"
        ),
    ),
    "receiver that everybody reaches": (
        ('grpc: {endpoint: "127.0.0.1:0"', 'grpc: {endpoint: "0.0.0.0:0"'),
        (
            "receivers::otlp::protocols::grpc::endpoint: '0.0.0.0:0' receives beyond this machine in plain text, from"
            " everybody (tls with auth or client_ca_file; an address of loopback, such as 127.0.0.1; or allow_insecure:"
            " true)"
        ),
    ),
    "unknown top-level setting": (
        ("exporters: {", "exporter: {}\nexporters: {"),
        (
            "exporter: unknown setting (valid settings: receivers, processors, exporters, store, service);"
            " did you mean 'exporters'?"
        ),
    ),
    "duration": (
        ("window: 1m", "window: 60"),
        'processors::drift::window: 60 is not a duration (a number with a unit, such as "5m", "30s" or "250ms")',
    ),
    "duration of nothing": (
        ("window: 1m", "window: 0s"),
        'processors::drift::window: \'0s\' is not a duration above zero (such as "5m", "30s" or "250ms")',
    ),
    "listening address": (
        ('"127.0.0.1:0"', '"127.0.0.1"'),
        (
            "receivers::otlp::protocols::grpc::endpoint: '127.0.0.1' is not an address"
            ' ("host:port", port 0 to 65535; an IPv6 host in brackets)'
        ),
    ),
    "port out of range": (
        ("127.0.0.1:4318", "127.0.0.1:70000"),
        (
            "exporters::otlp_grpc::endpoint: 'http://127.0.0.1:70000' is not an endpoint"
            ' ("host:port" or "http://host:port", port 1 to 65535)'
        ),
    ),
    "whole number": (
        ("window: 1m", "window: 1m, min_rows: many"),
        "processors::drift::min_rows: 'many' is not valid (a whole number)",
    ),
    "a detector for vectors that is to decide about numbers": (
        ("window: 1m", "window: 1m, detectors: {psi: }, decide_by: {numeric: mahalanobis}"),
        "processors::drift::decide_by::numeric: 'mahalanobis' is not configured (configured detectors: psi)",
    ),
    "bound": (
        ("window: 1m", "window: 1m, alerts: {alpha: 2}"),
        "processors::drift::alerts::alpha: 2 is not valid (at most 0.5)",
    ),
    "alerts that cannot fire": (
        ("window: 1m", "window: 1m, alerts: {breaches: 4}"),
        "processors::drift::alerts: breaches: 4 of 3 windows are more than there are (at most 3)",
    ),
    "deployments without room for their segments": (
        ("window: 1m", "window: 1m, limits: {segments: 0}, references: {stable: {dimension: service.version}}"),
        "processors::drift: references::stable::dimension: 'service.version' needs limits::segments above 0",
    ),
    "truth value": (
        ("window: 1m", "window: 1m, forward_snapshots: sometimes"),
        "processors::drift::forward_snapshots: 'sometimes' is not valid (true or false)",
    ),
    "choice": (
        ('4318"}', '4318", compression: gzp}'),
        "exporters::otlp_grpc::compression: unknown value 'gzp' (valid values: none, gzip); did you mean 'gzip'?",
    ),
    "missing setting": (
        ('{endpoint: "http://127.0.0.1:4318"}', "{}"),
        "exporters::otlp_grpc::endpoint: is missing (it has no default)",
    ),
    "unknown type": (
        ("{otlp_grpc: {", "{otlp_grcp: {"),
        (
            "exporters::otlp_grcp: unknown type (valid types: otlp_grpc, otlp_http, otlp, otlphttp, each also as"
            " type/name); did you mean 'otlp_grpc'?"
        ),
    ),
    "unknown reference": (
        ("processors: [drift], exporters: [otlp_grpc]", "processors: [drift], exporters: [otlp_gprc]"),
        (
            "service::pipelines::logs::exporters: 'otlp_gprc' is not declared (declared exporters: otlp_grpc);"
            " did you mean 'otlp_grpc'?"
        ),
    ),
    "unused component": (
        ("exporters: {", 'exporters: {otlp_http: {endpoint: "http://h:1"}, '),
        "exporters::otlp_http: is not used (name it in service::pipelines, or remove it)",
    ),
    "unknown signal": (
        ("    metrics:", "    metric: {receivers: [otlp], exporters: [otlp_grpc]}\n    metrics:"),
        "service::pipelines::metric: unknown signal (valid names: traces, metrics, logs); did you mean 'metrics'?",
    ),
    "no way for results": (
        ("    metrics: {receivers: [otlp], exporters: [otlp_grpc]}\n", ""),
        "service::pipelines::metrics::exporters: is empty (an exporter for the gauges of 'drift')",
    ),
    "processor in the wrong pipeline": (
        ("metrics: {receivers: [otlp],", "metrics: {receivers: [otlp], processors: [drift],"),
        "service::pipelines::metrics::processors: ['drift'] work on logs (processors in pipeline 'logs')",
    ),
    "gRPC endpoint with a path": (
        ("127.0.0.1:4318", "127.0.0.1:4318/v1"),
        "exporters::otlp_grpc: endpoint '/v1': gRPC knows no path (an `otlp_http` exporter would send there)",
    ),
    "unknown detector": (
        ("window: 1m", "window: 1m, detectors: {psi: {}, kss: {}}"),
        (
            "processors::drift::detectors::kss: unknown drift detector (valid detectors: "
            f"{', '.join(BUILTIN_DETECTORS)}); did you mean 'ks'?"
        ),
    ),
    "unknown setting of a detector": (
        ("window: 1m", "window: 1m, detectors: {psi: {treshold: 1}}"),
        (
            "processors::drift::detectors::psi::treshold: unknown setting "
            "(valid settings: bias_corrected, bins, floor, threshold); did you mean 'threshold'?"
        ),
    ),
    "nothing to choose from": (
        ("window: 1m", "window: 1m, detectors: {ks: {}}"),
        (
            "processors::drift::decide_by::categorical: 'auto' has nothing to choose from for categorical columns "
            "(configured detectors: ks)"
        ),
    ),
    "deciding detector that does not run": (
        ("window: 1m", "window: 1m, detectors: {psi: {}}, decide_by: {numeric: ks}"),
        "processors::drift::decide_by::numeric: 'ks' is not configured (configured detectors: psi)",
    ),
    "unset variable": (
        ("window: 1m", "window: '${env:WINDOW}'"),
        "processors::drift::window: environment variable 'WINDOW' is not set (set it, or write ${env:WINDOW:-default})",
    ),
    "variable of another kind": (
        ("127.0.0.1:4318", "${HOST}:4318"),
        "exporters::otlp_grpc::endpoint: '${HOST}' is not understood (${env:NAME} or ${env:NAME:-default})",
    ),
}


@pytest.mark.parametrize(("change", "expected"), CATALOGUE.values(), ids=list(CATALOGUE))
def test_each_mistake_is_named_at_its_place(problems, change, expected):
    """Where, what, what would be valid, and what was perhaps meant."""
    assert expected in problems(replaced(*change))


def test_all_mistakes_are_reported_at_once(problems):
    """One run of the editor, not five."""
    text = replaced("window: 1m", "windw: 1m, min_rows: 0").replace("[drift]", "[drft]")

    found = problems(text)

    assert [problem.partition(": ")[0] for problem in found] == [
        "processors::drift::min_rows",
        "processors::drift::windw",
        "service::pipelines::logs::processors",
        "processors::drift",
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"receivers: [", "processor.yaml', line 1: "),
        (b"a: 1\na: 2\n", "processor.yaml', line 2: 'a' stands there twice (valid YAML)"),
        (b"- a\n", "processor.yaml': holds no mapping (receivers, processors, exporters, service)"),
        (b"\xff\xfe", "processor.yaml': is not UTF-8 text (a YAML file)"),
        (b"#" * 4_000_001, "processor.yaml': is longer than 4,000,000 characters (a YAML file)"),
        (None, "processor.yaml': cannot be read: No such file or directory (a YAML file)"),
    ],
)
def test_a_file_that_is_no_configuration_is_a_clear_error(tmp_path, content, expected):
    """Named, with the line where there is one."""
    path = tmp_path / "processor.yaml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(InvalidConfigurationError) as caught:
        config.load(path, {})

    assert expected in str(caught.value)


def test_baselines_are_read_at_start_and_their_problems_are_among_the_others(problems, tmp_path):
    """A wrong file is found before the first window closes, not after."""
    good, twin, broken = (tmp_path / name for name in ("good.baseline", "twin.baseline", "broken.baseline"))
    Baseline.build({"amount": [1.0, 2.0, 3.0]}, model="fraud", version="3").save(good)
    Baseline.build({"amount": [1.0, 2.0, 4.0]}, model="fraud", version="3").save(twin)
    broken.write_bytes(b"not a baseline")
    text = replaced("window: 1m", f"window: 1m, baselines: ['{good}', '{twin}', '{broken}']")

    found = problems(text)

    assert found[0] == (
        f"processors::drift::baselines::1: '{twin}' is of model 'fraud 3', as is '{good}' (one for each version)"
    )
    assert found[1].startswith("processors::drift::baselines::2: ")
    assert str(broken) in found[1]
    assert len(found) == 2


def test_a_wrong_setting_does_not_hide_what_its_neighbours_name(problems):
    """Everything at once: a file that is not there is found although another setting is misspelt."""
    found = problems(replaced("window: 1m", "windw: 1m, baselines: [nowhere.baseline], detectors: {psi: {}, pis: {}}"))

    assert [problem.split(": ")[0] for problem in found] == [
        "processors::drift::windw",
        "processors::drift::baselines::0",
        "processors::drift::detectors::pis",
    ]
