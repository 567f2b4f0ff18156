"""What the processor answers, and what the OTLP exporters of the Python SDK then do, by gRPC and by HTTP.

An exporter of the SDK has nowhere to keep anything: it tries six times at most, within its timeout (10 s unless it is
set), and then gives up. What it gave up was never acknowledged; what it counts as exported is safe. So "nothing is
lost" takes a Collector between the two wherever an outage may last longer than that.
"""

import logging
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.sdk._logs.export import LogRecordExportResult
from otlp_sink import OtlpSink
from peers.conformance import HUNDRED_KB, MIB, SMALL_LOG, Processor, full_disk, numbered, once, texts_at
from peers.python_exporters import (
    LOGS,
    PATIENT_S,
    Cutting,
    batch,
    cut_off_in_channel,
    exporters,
    exporting,
    snapshots,
)
from peers.running import until
from peers.samples import rows_merged
from peers.system_calls import synchronizing
from processor_samples import Producer
from receiving import Authority

TAKEN, GIVEN_UP = LogRecordExportResult.SUCCESS, LogRecordExportResult.FAILURE

pytestmark = pytest.mark.slow


# --- no room, a full disk, a failure of ours -------------------------------------------------------------------------


def no_room(peers, sink, store):
    """The log is full, and its backend away."""
    sink.refuse()
    processor = Processor(peers, sink, store=store, log=SMALL_LOG)
    return processor, fill(processor), sink.recover


def no_disk(peers, sink, store):
    """There is no room on the disk."""
    processor = Processor(peers, sink, store=store, limits=full_disk)
    return processor, fill(processor), processor.free_the_disk


def no_directory(peers, sink, store):
    """The directory of the log has gone, as when a volume is unmounted."""
    processor = Processor(peers, sink, store=store, log=SMALL_LOG)
    log, elsewhere = store / "log", store.parent / "elsewhere"
    log.rename(elsewhere)
    return processor, fill(processor), lambda: elsewhere.rename(log)


@pytest.mark.parametrize(
    ("trouble", "reason"), [(no_room, "log_full"), (no_disk, "disk_full"), (no_directory, "disk_error")]
)
def test_it_comes_back_and_is_served_once_there_is_room(peers, tmp_path, coming_back, trouble, reason):
    """UNAVAILABLE with a RetryInfo in both trailers, 503 with a Retry-After, whatever it is that fails on our side."""
    with OtlpSink() as sink:
        processor, filled, end = trouble(peers, sink, tmp_path / "store")
        over_grpc, over_http = answer_over_grpc(processor), answer_over_http(processor)
        batches = batch(0, 5, size=HUNDRED_KB), batch(100, 105, size=HUNDRED_KB)
        with exporters(processor) as found, exporting(found, batches) as results:
            until(lambda: coming_back().keys() == {"grpc", "http"})
            end()
        until(lambda: texts_at(sink).total() >= len(filled) + 10)
        until(lambda: processor.refused(reason) >= 5)

        assert results() == [TAKEN, TAKEN]
        assert texts_at(sink) == once(filled, range(5), range(100, 105))
        assert over_grpc == ("UNAVAILABLE", 1.5, 1.5)
        assert over_http == (503, "2")


def test_without_room_for_longer_it_gives_up_what_was_never_acknowledged(peers, tmp_path):
    """Six tries: 7.5 s by gRPC, 10 s by HTTP, where the default timeout leaves five of them. None of it arrives."""
    with OtlpSink() as sink:
        processor, filled, end = no_room(peers, sink, tmp_path / "store")
        batches = batch(0, 5, size=HUNDRED_KB), batch(100, 105, size=HUNDRED_KB)
        with exporters(processor) as found, exporting(found, batches) as results:
            pass
        end()
        until(lambda: texts_at(sink).total() >= len(filled))
        until(lambda: processor.refused("log_full") >= 13)

        assert results() == [GIVEN_UP, GIVEN_UP]
        assert texts_at(sink) == once(filled)
        # The first one is that which found out that it is full.
        assert processor.refused("log_full") == 1 + 6 + 6


# --- requests that will never be taken -------------------------------------------------------------------------------


def test_undecodable_bytes_are_given_up_at_once(peers, coming_back):
    """INVALID_ARGUMENT and 400: only the broken request is lost, and we count it.

    An exporter does not send broken bytes, so its own channel and its own session cut them off at the end.
    """
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        with exporters(processor, session=Cutting()) as found:
            cut_off_in_channel(found[0])
            with exporting(found, [batch(0, 5), batch(100, 105)]) as results:
                pass
        with exporters(processor) as found, exporting(found, [batch(5, 10), batch(105, 110)]) as others:
            pass
        until(lambda: texts_at(sink).total() >= 10 and processor.refused("undecodable") >= 2)

        assert (results(), others()) == ([GIVEN_UP, GIVEN_UP], [TAKEN, TAKEN])
        assert texts_at(sink) == once(range(5, 10), range(105, 110))
        assert (processor.refused("undecodable"), coming_back()) == (2, {})


def test_a_request_beyond_the_limit_is_given_up_and_counted_as_often_as_it_comes(peers, coming_back):
    """413 is final. Python's gRPC exporter comes back after RESOURCE_EXHAUSTED, in vain, until its time is over."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink, grpc={"max_recv_msg_size_mib": 1}, http={"max_request_body_size_mib": 1})
        with (
            exporters(processor, timeout=3) as found,
            exporting(found, [batch(0, 1, size=2 * MIB), batch(100, 101, size=2 * MIB)]) as results,
        ):
            pass
        tries = coming_back()["grpc"] + 1
        until(lambda: processor.refused("unread") >= tries and processor.refused("too_large") >= 1)

        assert results() == [GIVEN_UP, GIVEN_UP]
        assert (processor.refused("unread"), processor.refused("too_large")) == (tries, 1)
        assert tries > 1
        assert texts_at(sink) == {}


def test_a_wrong_token_is_given_up_at_once_and_the_right_one_served_over_tls(peers, tmp_path, coming_back, monkeypatch):
    """UNAUTHENTICATED and 401, also without any; and with mutual TLS, no certificate means no connection."""
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        # What they name would be believed instead of what the exporter is told to believe.
        monkeypatch.delenv(name, raising=False)
    authority = Authority(tmp_path)
    server = {
        "tls": {**authority.issue(), "client_ca_file": str(authority.file)},
        "auth": {"bearer_token": "the-right-one"},
    }
    client = authority.issue("model-server", into="client")
    with OtlpSink() as sink:
        processor = Processor(peers, sink, grpc=server, http=server)
        outcomes = []
        for headers in ({"authorization": "Bearer the-wrong-one"}, {}, {"authorization": "Bearer the-right-one"}):
            with (
                exporters(processor, authority=authority, client=client, headers=headers) as found,
                exporting(found, [batch(0, 5), batch(100, 105)]) as results,
            ):
                pass
            outcomes.append(results())
        assert coming_back() == {}
        with (
            exporters(processor, authority=authority, headers=headers, timeout=1) as found,
            exporting(found, [batch(5, 10), batch(105, 110)]) as results,
        ):
            pass
        until(lambda: texts_at(sink).total() >= 10 and processor.refused("unauthenticated") >= 4)

        assert outcomes == [[GIVEN_UP, GIVEN_UP], [GIVEN_UP, GIVEN_UP], [TAKEN, TAKEN]]
        assert results() == [GIVEN_UP, GIVEN_UP]
        assert texts_at(sink) == once(range(5), range(100, 105))
        assert processor.refused("unauthenticated") == 4


# --- no answer, partial success, death -------------------------------------------------------------------------------


def test_without_an_answer_it_gives_up_and_what_is_sent_again_is_merged_once(peers):
    """Its timeout is for all tries together. Whether the first one arrived nobody knows; the second may be a copy."""
    producers = Producer(b"g" * 16), Producer(b"h" * 16)
    batches = [[*batch(100 * way, 100 * way + 5), *snapshots(producers[way], 5)] for way in (0, 1)]
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        with exporters(processor, timeout=2) as found:
            with exporting(found, [batch(50, 51), batch(150, 151)]) as warm:
                pass
            with processor.paused(), exporting(found, batches) as results:
                pass
        with exporters(processor) as found, exporting(found, batches) as again:
            pass
        of_logs = {"processor_signal": "logs"}

        def received():
            return processor.counted("received", **of_logs)

        def consumed():
            return processor.counted("consumed", **of_logs)

        until(lambda: texts_at(sink).total() >= 12 and rows_merged(sink) >= 100)
        until(lambda: received() and received() == processor.counted("forwarded", **of_logs) + consumed())
        processor.stop()

        assert (warm(), results(), again()) == ([TAKEN, TAKEN], [GIVEN_UP, GIVEN_UP], [TAKEN, TAKEN])
        assert set(texts_at(sink)) == {*range(5), *range(100, 105), 50, 150}
        assert max(texts_at(sink).values()) <= 2
        assert rows_merged(sink) == 2 * 5 * 10
        assert consumed() == 10 + processor.counted("snapshots", processor_outcome="duplicate")


def test_partial_success_is_success(peers, coming_back):
    """An exporter does not look at what was rejected, and does not send again; we have counted it."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        batches = [
            [
                *snapshots(Producer(name * 16), 3),
                *snapshots(Producer(b"?" * 16), 1, checksum=0),
                *batch(number, number + 1),
            ]
            for name, number in ((b"g", 0), (b"h", 100))
        ]
        with exporters(processor) as found, exporting(found, batches) as results:
            pass
        until(lambda: processor.counted("dropped", drop_reason="snapshot_wrong_checksum") >= 2)
        until(lambda: texts_at(sink).total() >= 2 and rows_merged(sink) >= 60)

        assert (results(), coming_back()) == ([TAKEN, TAKEN], {})
        assert processor.counted("received", processor_signal="logs") == 2 * 5
        assert processor.counted("dropped", drop_reason="snapshot_wrong_checksum") == 2
        assert (rows_merged(sink), texts_at(sink)) == (60, {0: 1, 100: 1})


def test_what_was_acknowledged_is_in_the_log_when_it_is_killed(peers, tmp_path):
    """kill -9 right after the answer: the next process finds every record, and delivers it once.

    What a process has written survives the process in any case; that it is also on the disk by then is the next test's.
    """
    with OtlpSink() as sink:
        sink.refuse()
        processor = Processor(peers, sink, store=tmp_path / "store")
        outcomes = []
        with exporters(processor) as found:
            for number in range(20):
                with exporting(found, [batch(number, number + 1), batch(100 + number, 101 + number)]) as results:
                    pass
                outcomes += results()
        processor.kill()
        sink.recover()
        processor.start()
        until(lambda: texts_at(sink).total() >= 40 and processor.counted("recovered") >= 40)

        assert outcomes == [TAKEN] * 40
        assert texts_at(sink) == once(range(20), range(100, 120))
        assert processor.counted("recovered") == 40


def test_nothing_is_acknowledged_before_the_disk_has_it(peers, tmp_path):
    """At each answer the system has been asked once more to write to the disk, and has done so.

    What a disk makes of that when the power fails is not tested here.
    """
    with OtlpSink() as sink:
        processor = Processor(peers, sink, store=tmp_path / "store")
        with exporters(processor) as (exporter, _), synchronizing(processor.pid, tmp_path / "calls") as synchronized:
            before = synchronized()
            counts = []
            for number in range(20):
                assert exporter.export(batch(number, number + 1)) is TAKEN
                counts.append(synchronized() - before)

        assert all(count >= number for number, count in enumerate(counts, 1))


def test_killed_in_the_middle_of_a_stream_it_keeps_what_it_acknowledged(peers, tmp_path):
    """Connections that break are tried again; whatever an exporter counts as exported arrives, at least once."""
    acknowledged = []

    def stream(exporter, begin):
        for number in range(begin, begin + 40):
            if exporter.export(batch(number, number + 1)) is TAKEN:
                acknowledged.append(number)
            time.sleep(0.02)

    with OtlpSink() as sink:
        processor = Processor(peers, sink, store=tmp_path / "store")
        with exporters(processor) as found, ThreadPoolExecutor() as pool:
            streams = [pool.submit(stream, exporter, begin) for exporter, begin in zip(found, (0, 100), strict=True)]
            for kill_after in (10, 30):
                until(lambda enough=kill_after: len(acknowledged) >= enough)
                processor.kill()
                processor.start()
            for one in streams:
                one.result()
        until(lambda: set(texts_at(sink)) >= set(acknowledged))

        assert len(acknowledged) >= 60
        assert set(texts_at(sink)) <= {*range(40), *range(100, 140)}


# --- compression -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", ["none", "gzip", "deflate"])
def test_it_may_compress(peers, compression):
    """Over both protocols."""
    over_grpc = {
        "none": grpc.Compression.NoCompression,
        "gzip": grpc.Compression.Gzip,
        "deflate": grpc.Compression.Deflate,
    }
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        found = exporters(processor, compression=(over_grpc[compression], Compression(compression)))
        with found as found, exporting(found, [batch(0, 5, size=MIB), batch(100, 105, size=MIB)]) as results:
            pass
        until(lambda: texts_at(sink).total() >= 10)

        assert results() == [TAKEN, TAKEN]
        assert texts_at(sink) == once(range(5), range(100, 105))
        assert processor.counted("refused") == 0


@pytest.fixture
def coming_back(caplog, monkeypatch):
    """How often exporters have said that they will come back, by protocol."""
    for name in ("grpc.exporter", "http._log_exporter"):
        # They say it once in twenty seconds otherwise.
        monkeypatch.setattr(logging.getLogger(f"opentelemetry.exporter.otlp.proto.{name}"), "filters", [])

    def counted():
        said = [record for record in caplog.records if record.getMessage().startswith("Transient error")]
        return Counter(record.name.split(".")[4] for record in said)

    return counted


# --- without the SDK -------------------------------------------------------------------------------------------------


def fill(processor):
    """Send until something is refused; the numbers of what was taken."""
    with grpc.insecure_channel(processor.address) as channel:
        export = channel.unary_unary(LOGS)
        for request in (numbered(number, number + 1, size=HUNDRED_KB)[0] for number in range(1000, 1100)):
            try:
                export(request.SerializeToString(), timeout=PATIENT_S, wait_for_ready=True)
            except grpc.RpcError:
                return range(1000, int(request.resource_logs[0].scope_logs[0].log_records[0].body.string_value[:6]))
    raise AssertionError("there is no end to what it takes")


def answer_over_grpc(processor):
    """The status of a refusal, and when to come back, as Go's clients read it and as Python's do."""
    body = numbered(0, 1, size=2 * HUNDRED_KB)[0].SerializeToString()
    with grpc.insecure_channel(processor.address) as channel, pytest.raises(grpc.RpcError) as refused:
        channel.unary_unary(LOGS)(body, timeout=PATIENT_S, wait_for_ready=True)
    trailers = dict(refused.value.trailing_metadata())
    for_go = RetryInfo()
    Status.FromString(trailers["grpc-status-details-bin"]).details[0].Unpack(for_go)
    for_python = RetryInfo.FromString(trailers["google.rpc.retryinfo-bin"])
    delays = [info.retry_delay.ToTimedelta().total_seconds() for info in (for_go, for_python)]
    return (refused.value.code().name, *delays)


def answer_over_http(processor):
    """The status of a refusal, and when to come back."""
    body = numbered(0, 1, size=2 * HUNDRED_KB)[0].SerializeToString()
    request = Request(f"{processor.url}/v1/logs", body, {"content-type": "application/x-protobuf"})
    with pytest.raises(HTTPError) as refused:
        urlopen(request, timeout=PATIENT_S)
    with refused.value as error:
        return error.code, error.headers["retry-after"]
