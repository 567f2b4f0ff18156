"""The command, as a process of its own."""

import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import pytest
from otlp_sink import OtlpSink
from processor_samples import Producer, logs_request, numeric, snapshot_record, text_record

LOGS = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
EXAMPLE = Path(__file__).parents[2] / "deploy" / "processor.yaml"


def configuration(path, backend, *, listen="127.0.0.1:0", store=None, console=False):
    path.write_text(
        f"""
receivers: {{otlp: {{protocols: {{grpc: {{endpoint: "{listen}"}}}}}}}}
processors: {{drift: {{window: 1h}}}}
exporters: {{otlp_grpc: {{endpoint: "{backend}"}}}}
{f'store: {{directory: "{store}"}}' if store else ""}
service:
  status: {{endpoint: "127.0.0.1:0"}}
  console: {{enabled: {str(console).lower()}, endpoint: "127.0.0.1:0"}}
  pipelines:
    metrics: {{exporters: [otlp_grpc]}}
    logs: {{receivers: [otlp], processors: [drift], exporters: [otlp_grpc]}}
"""
    )
    return path


def command(*arguments):
    return [sys.executable, "-m", "collector_processor", *map(str, arguments)]


def run(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=60, check=False)


@contextlib.contextmanager
def started(path, **options):
    """The process and the address that it says it listens on."""
    process = subprocess.Popen(
        command("--config", path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )
    try:
        line = process.stdout.readline()
        matched = re.fullmatch(r"otel-ml processor: receiving OTLP/gRPC on (127\.0\.0\.1:\d+)\n", line)
        assert matched, line + process.stderr.read()
        yield process, matched[1]
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_everything_delivered(tmp_path, number):
    """What was acknowledged is sent, open windows are evaluated, and the exit code is 0."""
    request = logs_request(text_record(), snapshot_record(Producer().snapshot(numeric("amount", range(500)))))
    with (
        OtlpSink() as sink,
        started(configuration(tmp_path / "processor.yaml", sink.endpoint)) as (process, address),
    ):
        with grpc.insecure_channel(address) as channel:
            channel.unary_unary(LOGS)(request.SerializeToString(), timeout=10)
        process.send_signal(number)
        output, errors = process.communicate(timeout=30)

        assert (process.returncode, output, "Traceback" in errors) == (0, "otel-ml processor: stopped\n", False)
        assert [record.body.string_value for record in sink.log_records()] == ["hello"]
        assert sink.metrics_named("ml.model.window.rows")[0].gauge.data_points[0].as_int == 500
        assert sink.metrics_named("ml.processor.rows")[-1].sum.data_points[0].as_int == 500


@pytest.mark.slow
def test_it_says_where_its_console_is(tmp_path):
    """And is right."""
    with started(configuration(tmp_path / "processor.yaml", "http://127.0.0.1:1", console=True)) as (process, _):
        line = process.stdout.readline()
        url = line.removeprefix("otel-ml processor: console at ").strip()
        answer = httpx.get(f"{url}models.json", trust_env=False, timeout=30)

    assert answer.json()["models"] == []


def allow_no_file_above_512_kib():
    """Enough for a state that is empty, too little for a segment of the log."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (512 * 1024, resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_full_disk_refuses_and_takes_again_once_there_is_room(tmp_path):
    """Clients are told to come back, nothing that was acknowledged is missing, and nobody has to restart anything."""
    import resource

    config = configuration(tmp_path / "processor.yaml", "{backend}", store=tmp_path / "store")
    request = logs_request(
        text_record(), snapshot_record(Producer().snapshot(numeric("amount", range(300))))
    ).SerializeToString()
    with OtlpSink() as sink:
        config.write_text(config.read_text().replace("{backend}", sink.endpoint))
        with started(config, preexec_fn=allow_no_file_above_512_kib) as (process, address):
            with grpc.insecure_channel(address) as channel:
                with pytest.raises(grpc.RpcError) as refused:
                    channel.unary_unary(LOGS)(request, timeout=10)
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                channel.unary_unary(LOGS)(request, timeout=10)
            # Where something is kept, an open window waits for the next start.
            process.terminate()
            output, errors = process.communicate(timeout=30)

        assert (refused.value.code(), refused.value.details()) == (
            grpc.StatusCode.UNAVAILABLE,
            "log: the disk is full; try again",
        )
        assert (process.returncode, output) == (0, "otel-ml processor: stopped\n")
        assert "entries are refused, disk_full" in errors
        assert [record.body.string_value for record in sink.log_records()] == ["hello"]

        with started(config) as (process, address):
            with grpc.insecure_channel(address) as channel:
                channel.unary_unary(LOGS)(request, timeout=10)
            process.terminate()
            process.communicate(timeout=30)
        rows = [metric.sum.data_points[0].as_int for metric in sink.metrics_named("ml.processor.rows")]
    # The second and the third time it was a duplicate.
    assert rows == [300]


@pytest.mark.slow
def test_a_second_processor_on_one_store_does_not_start(tmp_path):
    """Exit 1, with the setting and the owner in the message."""
    store = tmp_path / "store"
    with started(configuration(tmp_path / "first.yaml", "http://127.0.0.1:1", store=store)) as (process, _):
        second = run("--config", configuration(tmp_path / "second.yaml", "http://127.0.0.1:1", store=store))

        assert second.returncode == 1
        assert second.stderr.splitlines()[-1] == (
            f"store::directory: '{store}' is in use by another processor, process {process.pid} (one store for each)"
        )
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.slow
def test_a_taken_port_exits_with_one(tmp_path):
    """And one line that says what to change."""
    with OtlpSink() as sink:
        listen = sink.endpoint.removeprefix("http://")
        finished = run("--config", configuration(tmp_path / "processor.yaml", sink.endpoint, listen=listen))

    assert finished.returncode == 1
    assert finished.stderr.splitlines()[-1] == (
        f"receivers::otlp::protocols::grpc::endpoint: cannot listen on '{listen}': Address already in use"
    )


@pytest.mark.slow
def test_validate_reports_every_problem_and_exits_with_two(tmp_path):
    """Nothing is started."""
    path = tmp_path / "processor.yaml"
    path.write_text("receivers: {otlp: {}}\nexporters: {otlp_grpc: {}}\nprocesors: {}\n")

    finished = run("--config", path, "--validate")

    assert finished.returncode == 2
    assert finished.stderr.splitlines() == [
        (
            "procesors: unknown setting (valid settings: receivers, processors, exporters, store, service);"
            " did you mean 'processors'?"
        ),
        "exporters::otlp_grpc::endpoint: is missing (it has no default)",
        "service::pipelines: is missing (it has no default)",
    ]


@pytest.mark.slow
def test_validate_accepts_the_example():
    """What we ship works."""
    finished = run("--config", EXAMPLE, "--validate")

    assert (finished.returncode, finished.stdout) == (0, f"{EXAMPLE}: valid\n")
