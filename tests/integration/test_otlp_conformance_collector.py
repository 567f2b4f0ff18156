"""What the processor answers, and what a real Collector then does: every case that loses data somewhere else.

The Collector's log says what it dropped for good, the processor's own metrics what it refused, and a sink behind the
processor what arrived. All of them have to agree, to the last record.
"""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from otlp_sink import OtlpSink
from peers.conformance import (
    HUNDRED_KB,
    MIB,
    SMALL_LOG,
    Processor,
    arrived,
    both,
    code,
    collector,
    corrupt_snapshot,
    dropped,
    full_disk,
    numbered,
    once,
    retries,
    retrying,
    said,
    snapshots,
    spans,
    spans_at,
    texts_at,
    to_grpc,
    to_http,
)
from peers.running import send, until
from peers.samples import rows_merged
from processor_samples import logs_request, text_record
from receiving import Authority

pytestmark = pytest.mark.slow


def test_without_room_it_comes_back_when_it_was_told_to(peers, tmp_path):
    """UNAVAILABLE with a RetryInfo, 503 with a Retry-After: nothing is dropped, and all of it arrives, once."""
    with OtlpSink() as sink:
        sink.refuse()
        processor = Processor(peers, sink, store=tmp_path / "store", log=SMALL_LOG)
        client = collector(peers, both(processor))
        send(client.address, *numbered(0, 40, size=HUNDRED_KB), *spans(0, 40, size=HUNDRED_KB))
        until(lambda: retrying(client) == {"otlp_grpc", "otlp_http"})
        on_disk = sum(file.stat().st_blocks * 512 for file in (tmp_path / "store" / "log").iterdir())
        sink.recover()
        until(arrived(sink, 40))
        until(lambda: processor.refused("log_full", "logs") and processor.refused("log_full", "traces"))
        told = {(one["otelcol.component.id"], one["interval"]) for one in retries(client)}

        assert (texts_at(sink), spans_at(sink)) == (once(range(40)), once(range(40)))
        assert dropped(client) == {}
        assert told == {("otlp_grpc", "1.5s"), ("otlp_http", "2s")}
        assert on_disk <= 4 * MIB


def test_on_a_full_disk_it_comes_back(peers, tmp_path):
    """The same answers; nobody has to restart anything once there is room."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink, store=tmp_path / "store", limits=full_disk)
        client = collector(peers, both(processor))
        send(client.address, *numbered(0, 10), *spans(0, 10))
        until(lambda: retrying(client) == {"otlp_grpc", "otlp_http"})
        processor.free_the_disk()
        until(arrived(sink, 10))
        until(lambda: processor.refused("disk_full", "logs") and processor.refused("disk_full", "traces"))

        assert (texts_at(sink), spans_at(sink)) == (once(range(10)), once(range(10)))
        assert dropped(client) == {}


def test_what_was_broken_on_the_way_is_dropped_alone(peers):
    """400: a Collector drops that one request and goes on.

    It cannot be made to send broken bytes, so something between the two cuts off the end of a request. By gRPC, where
    that is INVALID_ARGUMENT, the Python exporter's own channel does it (test_otlp_conformance_python.py).
    """
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        with cutting(processor.url, marker=b"000003") as between:
            client = collector(peers, {"otlp_http": {**to_http(processor), "endpoint": between}}, traces=["otlp_http"])
            send(client.address, *spans(0, 8))
            until(lambda: spans_at(sink).total() >= 7 and dropped(client))
            until(lambda: processor.refused("undecodable"))

        assert spans_at(sink) == once(range(3), range(4, 8))
        assert dropped(client) == {"otlp_http": 1}
        assert processor.refused("undecodable", "traces") == 1


@pytest.mark.parametrize(
    ("limits", "size", "reasons"),
    [
        # What gRPC itself does not read never becomes a request that could be called too large.
        (
            {"grpc": {"max_recv_msg_size_mib": 1}, "http": {"max_request_body_size_mib": 1}},
            2 * MIB,
            {"logs": "unread", "traces": "too_large"},
        ),
        ({"log": SMALL_LOG}, 5 * MIB, {"logs": "too_large", "traces": "too_large"}),
    ],
    ids=["of the receiver", "of the log"],
)
def test_a_request_beyond_the_limit_is_dropped_and_counted_by_both(peers, limits, size, reasons):
    """A bare RESOURCE_EXHAUSTED and 413 are final: it would never fit. The limit is 64 MiB unless it is set lower."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink, **limits)
        client = collector(peers, both(processor))
        for make in (numbered, spans):
            send(client.address, *make(0, 1, size=size), *make(1, 6))
        until(lambda: arrived(sink, 5)() and dropped(client).total() >= 2)
        until(lambda: all(processor.refused(reason, signal) for signal, reason in reasons.items()))

        assert (texts_at(sink), spans_at(sink)) == (once(range(1, 6)), once(range(1, 6)))
        assert dropped(client) == {"otlp_grpc": 1, "otlp_http": 1}
        assert {signal: processor.refused(reason, signal) for signal, reason in reasons.items()} == {
            "logs": 1,
            "traces": 1,
        }


def test_while_its_directory_is_away_it_comes_back(peers, tmp_path):
    """A failure of ours is UNAVAILABLE and 503 as well, never UNKNOWN, INTERNAL or 500, which a Collector drops on.

    The directory of the log goes away under a running processor, as when a volume is unmounted, and comes back.
    """
    log, elsewhere = tmp_path / "store" / "log", tmp_path / "elsewhere"
    with OtlpSink() as sink:
        processor = Processor(peers, sink, store=tmp_path / "store", log=SMALL_LOG)
        client = collector(peers, both(processor))
        log.rename(elsewhere)
        # The open segment holds a few more.
        send(client.address, *numbered(0, 15, size=HUNDRED_KB), *spans(0, 15, size=HUNDRED_KB))
        until(lambda: retrying(client) == {"otlp_grpc", "otlp_http"})
        elsewhere.rename(log)
        until(arrived(sink, 15))
        until(lambda: processor.refused("disk_error", "logs") and processor.refused("disk_error", "traces"))

        assert (texts_at(sink), spans_at(sink)) == (once(range(15)), once(range(15)))
        assert dropped(client) == {}
        assert {code(one) for one in retries(client)} == {"Unavailable"}


def test_while_it_can_start_no_thread_it_comes_back(peers):
    """An exception of ours that nobody has thought of is answered like any other failure of ours."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        client = collector(peers, both(processor, compression="gzip"))
        send(client.address, *numbered(0, 1), *spans(0, 1))
        until(arrived(sink, 1))
        with processor.without_threads():
            # What inflates to more than 1 MiB is inflated in a thread.
            send(client.address, *numbered(1, 3, size=2 * MIB), *spans(1, 3, size=2 * MIB))
            until(lambda: retrying(client) == {"otlp_grpc", "otlp_http"})
        until(arrived(sink, 3))
        until(lambda: processor.refused("failure", "logs") and processor.refused("failure", "traces"))

        assert (texts_at(sink), spans_at(sink)) == (once(range(3)), once(range(3)))
        assert dropped(client) == {}
        assert {code(one) for one in retries(client)} == {"Unavailable"}


def test_without_the_right_token_it_is_sent_away_and_with_it_served_over_tls(peers, tmp_path):
    """UNAUTHENTICATED and 401 are final: a Collector drops, and both count it. Without a client's certificate there is
    no connection at all, which a Collector takes for an outage: it keeps what it has, and comes back.
    """
    authority = Authority(tmp_path)
    server = {
        "tls": {**authority.issue(), "client_ca_file": str(authority.file)},
        "auth": {"bearer_token": "the-right-one"},
    }
    trusted = {"ca_file": str(authority.file), "server_name_override": "localhost"}
    known = {**trusted, **authority.issue("collector", into="client")}
    with OtlpSink() as sink:
        processor = Processor(peers, sink, grpc=server, http=server)
        clients = {
            "right": {"tls": known, "auth": {"authenticator": "bearertokenauth/right"}},
            "wrong": {"tls": known, "auth": {"authenticator": "bearertokenauth/wrong"}},
            "none": {"tls": known},
            "stranger": {"tls": trusted, "auth": {"authenticator": "bearertokenauth/right"}},
        }
        exporters = {f"otlp_grpc/{name}": to_grpc(processor, **settings) for name, settings in clients.items()}
        for name, settings in clients.items():
            exporters[f"otlp_http/{name}"] = {
                **to_http(processor, **settings),
                "endpoint": f"https://{processor.http_address}",
            }
        client = collector(
            peers,
            exporters,
            extensions={
                "bearertokenauth/right": {"token": "the-right-one"},
                "bearertokenauth/wrong": {"token": "the-wrong-one"},
            },
            logs=[name for name in exporters if name.startswith("otlp_grpc")],
            traces=[name for name in exporters if name.startswith("otlp_http")],
        )
        send(client.address, *numbered(0, 5), *spans(0, 5))
        until(lambda: arrived(sink, 5)() and dropped(client).total() >= 20)
        until(lambda: retrying(client) >= {"otlp_grpc/stranger", "otlp_http/stranger"})
        until(lambda: processor.refused("unauthenticated") >= 20)

        assert (texts_at(sink), spans_at(sink)) == (once(range(5)), once(range(5)))
        assert dropped(client) == {f"otlp_{way}/{name}": 5 for way in ("grpc", "http") for name in ("wrong", "none")}
        assert (processor.refused("unauthenticated", "logs"), processor.refused("unauthenticated", "traces")) == (
            10,
            10,
        )


def test_without_an_answer_in_time_it_sends_again_and_nothing_is_merged_twice(peers):
    """What it sends again may be there already: passed through at least once, merged exactly once."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        client = collector(peers, both(processor, timeout="1s"))
        send(client.address, *numbered(0, 1), *spans(0, 1))
        until(arrived(sink, 1))
        with processor.paused():
            send(client.address, *numbered(1, 20), *spans(1, 20), *snapshots(20))
            until(lambda: retrying(client) == {"otlp_grpc", "otlp_http"})
        until(lambda: set(texts_at(sink)) >= set(range(20)) and set(spans_at(sink)) >= set(range(20)))
        until(lambda: rows_merged(sink) >= 200)
        client.stop()
        processor.stop()

        assert (set(texts_at(sink)), set(spans_at(sink))) == (set(range(20)), set(range(20)))
        assert rows_merged(sink) == 200
        assert dropped(client) == {}
        # Whatever came twice is known to have come twice.
        of_logs = {"processor_signal": "logs"}
        assert processor.counted("received", **of_logs) == texts_at(sink).total() + processor.counted("consumed")
        assert processor.counted("consumed") == 20 + processor.counted("snapshots", processor_outcome="duplicate")


def test_what_could_not_be_used_is_told_and_not_sent_again(peers):
    """Partial success: a Collector reports what was rejected, and regards the request as delivered."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        client = collector(peers, both(processor), logs=["otlp_grpc", "otlp_http"])
        good = [request.resource_logs[0].scope_logs[0].log_records[0] for request in snapshots(3)]
        send(client.address, logs_request(good[0], corrupt_snapshot(), *good[1:], text_record("000000")))
        until(lambda: processor.counted("dropped", drop_reason="snapshot_wrong_checksum") >= 2)
        until(lambda: texts_at(sink).total() >= 2 and len(said(client, "Partial success")) >= 2)

        assert [one["dropped_log_records"] for one in said(client, "Partial success")] == [1, 1]
        assert (retries(client), dropped(client)) == ([], {})
        # Two exporters have sent it, each of them once.
        assert processor.counted("received") == 2 * 5
        assert processor.counted("dropped", drop_reason="snapshot_wrong_checksum") == 2
        assert (rows_merged(sink), processor.counted("snapshots", processor_outcome="duplicate")) == (30, 3)
        assert texts_at(sink) == {0: 2}


@contextmanager
def cutting(target, marker):
    """Between two who speak HTTP: cuts the last byte off every body with a marker in it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            if marker in body:
                body = body[:-1]
            headers = {"content-type": self.headers["content-type"]}
            try:
                answer = urlopen(Request(target + self.path, body, headers), timeout=30)
            except HTTPError as error:
                answer = error
            with answer:
                said = answer.read()
                self.send_response(answer.status)
                self.send_header("content-type", answer.headers["content-type"])
                self.send_header("content-length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
