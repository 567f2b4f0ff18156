"""What a Collector in front of the processor can rely on, where Collectors among themselves cannot.

Their own queues refuse when they are full, lose what waits when the power goes, and give up after five minutes; their
batches are sized by items, and what comes twice counts twice.
"""

from pathlib import Path

import grpc
import pytest
from otlp_sink import OtlpSink
from peers.conformance import (
    HUNDRED_KB,
    MIB,
    Processor,
    arrived,
    both,
    code,
    collector,
    dropped,
    numbered,
    once,
    retries,
    said,
    snapshots,
    spans,
    spans_at,
    texts_at,
    to_grpc,
    to_http,
)
from peers.running import Peers, send, until
from peers.samples import rows_of
from processor_samples import START, Producer, text_record

pytestmark = pytest.mark.slow

HOUR = 3600 * 1_000_000_000


def test_the_configuration_we_ship_never_makes_a_request_that_large(peers):
    """Batches by bytes, 3.5 MB at most: 15 MB in one go fit a receiver of 4 MiB, which a stock Collector overruns."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink, grpc={"max_recv_msg_size_mib": 4})
        client = peers.collector("agent.yaml", OTEL_ML_UPSTREAM=processor.address)
        send(client.address, *numbered(0, 150, size=HUNDRED_KB))
        until(lambda: texts_at(sink).total() >= 150)

        assert texts_at(sink) == once(range(150))
        assert dropped(client) == {}
        assert max(request.ByteSize() for request in sink.logs) <= 3_500_000


def test_a_backend_that_is_away_for_long_gets_everything(peers, tmp_path):
    """No age limit (a Collector's own is five minutes): tens of times the longest interval change nothing.

    What waited goes out joined, in requests of 3.5 MB at most, each record once.
    """
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        processor = Processor(peers, sink, store=tmp_path / "store")
        client = peers.collector("agent.yaml", OTEL_ML_UPSTREAM=processor.address)
        send(client.address, *numbered(0, 150, size=HUNDRED_KB), *spans(0, 150))
        until(lambda: sink.calls >= 50)
        sink.recover()
        until(arrived(sink, 150))

        assert (texts_at(sink), spans_at(sink)) == (once(range(150)), once(range(150)))
        assert (retries(client), dropped(client)) == ([], {})
        assert max(request.ByteSize() for request in [*sink.logs, *sink.traces]) <= 3_500_000
        assert len(sink.logs) < 30


def test_single_requests_are_joined_by_bytes(peers, tmp_path):
    """Also of a client that batches nothing: few requests, and none above 3.5 MB that was not one when it came."""
    with OtlpSink() as sink:
        sink.fail_with(grpc.StatusCode.UNAVAILABLE)
        processor = Processor(peers, sink, store=tmp_path / "store")
        client = collector(peers, both(processor))
        send(client.address, *numbered(0, 100, size=HUNDRED_KB), *spans(0, 100, size=HUNDRED_KB))
        send(client.address, *numbered(100, 101, size=5 * MIB))
        until(lambda: sink.calls >= 10)
        sink.recover()
        until(lambda: texts_at(sink).total() >= 101 and spans_at(sink).total() >= 100)
        sizes = [request.ByteSize() for request in [*sink.logs, *sink.traces]]

        assert (texts_at(sink), spans_at(sink)) == (once(range(101)), once(range(100)))
        assert dropped(client) == {}
        assert len([size for size in sizes if size > 3_500_000]) == 1
        assert len(sizes) < 40


def test_killed_and_started_again_it_has_lost_nothing_and_merged_nothing_twice(peers, tmp_path):
    """kill -9 in the middle of a stream, behind the configuration we ship, whose queue is on disk.

    Also what was in no checkpoint yet: it is read again from the log. The loss of power is not tested here.
    """
    with OtlpSink() as sink:
        processor = Processor(peers, sink, store=tmp_path / "store")
        client = peers.collector("agent.yaml", OTEL_ML_UPSTREAM=processor.address)
        producer = Producer()
        requests = snapshots(90, producer=producer)
        for number, request in enumerate(requests):
            # Where the text arrives, the snapshot was accepted.
            request.resource_logs[0].scope_logs[0].log_records.append(text_record(f"{number:06d}"))
        for begin in (0, 30, 60):
            send(client.address, *requests[begin : begin + 25], *spans(begin, begin + 30))
            until(lambda begin=begin: any(number >= begin for number in texts_at(sink)))
            processor.kill()
            send(client.address, *requests[begin + 25 : begin + 30])
            processor.start()
        until(lambda: (set(texts_at(sink)), set(spans_at(sink))) == (set(range(90)), set(range(90))))
        # Of another hour: it closes the window of the others.
        send(client.address, *snapshots(1, producer=producer, start=START + 2 * HOUR))
        until(lambda: rows_of(sink))

        assert set(rows_of(sink)) == {900}
        assert dropped(client) == {}


@pytest.mark.parametrize("compressions", [("none", "gzip"), ("deflate", "zstd")])
def test_it_may_compress(peers, compressions):
    """none, gzip, deflate and zstd over HTTP; over gRPC none and gzip."""
    over_grpc = [name for name in compressions if name in ("none", "gzip")]
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        exporters = {f"otlp_grpc/{name}": to_grpc(processor, compression=name) for name in over_grpc}
        exporters |= {f"otlp_http/{name}": to_http(processor, compression=name) for name in compressions}
        client = collector(peers, exporters, logs=list(exporters))
        send(client.address, *numbered(0, 5), *numbered(5, 10, size=HUNDRED_KB))
        until(lambda: texts_at(sink).total() >= 10 * len(exporters))

        assert texts_at(sink) == dict.fromkeys(range(10), len(exporters))
        assert (retries(client), dropped(client)) == ([], {})


def test_zstd_over_grpc_is_refused_for_good(peers):
    """gRPC itself knows no zstd and answers INTERNAL before we see anything: none or gzip it has to be.

    The one loss that only the Collector can count.
    """
    with OtlpSink() as sink:
        processor = Processor(peers, sink)
        client = collector(peers, {"otlp_grpc": to_grpc(processor, compression="zstd")}, logs=["otlp_grpc"])
        send(client.address, *numbered(0, 3))
        until(lambda: dropped(client).total() >= 3)

        assert {code(one) for one in said(client, "Dropping data")} == {"Internal"}
        assert texts_at(sink) == {}


@pytest.fixture(scope="module", autouse=True)
def pinging(tmp_path_factory):
    """A Collector that pings two idle connections every ten seconds, from before the first test of this file on.

    One is to a processor, the other one to a gRPC server as it comes, which takes that for abuse.
    """
    keepalive = {"time": "10s", "timeout": "5s", "permit_without_stream": True}
    peers = Peers(tmp_path_factory.mktemp("pinging"))
    try:
        with OtlpSink() as sink, OtlpSink() as stock:
            processor = Processor(peers, sink)
            addresses = {"ours": processor.address, "stock": stock.endpoint.removeprefix("http://")}
            exporters = {
                f"otlp_grpc/{name}": {**to_grpc(processor, keepalive=keepalive), "endpoint": address}
                for name, address in addresses.items()
            }
            client = collector(peers, exporters, logs=list(exporters))
            send(client.address, *numbered(0, 1))
            until(lambda: texts_at(sink) and texts_at(stock))
            yield client, [sink, stock], {name: (address, clients_of(address)) for name, address in addresses.items()}
    finally:
        peers.close()


def test_it_may_ping_every_ten_seconds(pinging):
    """Its connection is still there when a gRPC server with its own defaults has cut off its own: ENHANCE_YOUR_CALM."""
    client, sinks, connections = pinging
    address, before = connections["stock"]
    until(lambda: not before & clients_of(address))
    send(client.address, *numbered(1, 2))
    until(lambda: all(texts_at(sink).total() >= 2 for sink in sinks))

    address, before = connections["ours"]
    assert len(before) == 1
    assert clients_of(address) == before


def clients_of(address):
    """The ports of this machine that have a connection to an address of loopback."""
    port = int(address.rpartition(":")[2])
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    established = [(row[1], row[2]) for row in rows if row[3] == "01"]
    return {int(local[-4:], 16) for local, remote in established if int(remote[-4:], 16) == port}
