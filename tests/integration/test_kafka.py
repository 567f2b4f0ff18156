"""Kafka between the model servers' Collectors and the one before the processor: a real broker, and kills.

Delivery by way of Kafka is at least once; that a snapshot counts once is the processor's own doing.
"""

import time

import pytest
from otlp_sink import OtlpSink
from peers.conformance import Processor, dropped, snapshots, spans, spans_at, texts_at
from peers.running import send, until
from peers.samples import rows_of
from processor_samples import START, Producer, text_record

pytestmark = pytest.mark.slow

HOUR = 3600 * 1_000_000_000


@pytest.fixture
def broker(peers):
    """Kafka, and the Collector that writes to it."""
    kafka = peers.kafka()
    kafka.agent = peers.collector("kafka-agent.yaml", KAFKA_BROKERS=kafka.address)
    return kafka


def reading(peers, broker, processor):
    """The Collector that hands on to the processor what Kafka has."""
    return peers.collector("kafka-consumer.yaml", KAFKA_BROKERS=broker.address, OTEL_ML_UPSTREAM=processor.address)


def marked(count, producer):
    """Requests of a snapshot of ten rows, and of a numbered text, which says where it arrives that the snapshot did."""
    requests = snapshots(count, producer=producer)
    for number, request in enumerate(requests):
        request.resource_logs[0].scope_logs[0].log_records.append(text_record(f"{number:06d}"))
    return requests


def close_the_window(agent, producer):
    """Of another hour than all the rest."""
    send(agent.address, *snapshots(1, producer=producer, start=START + 2 * HOUR))


def test_a_processor_that_is_killed_has_lost_nothing_and_merged_nothing_twice(peers, broker, tmp_path):
    """kill -9 in the middle of what Kafka holds, three times; all three signals arrive, each row counts once."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink, store=tmp_path / "store")
        consumer = reading(peers, broker, processor)
        producer = Producer()
        requests = marked(90, producer)
        for begin in (0, 30, 60):
            send(broker.agent.address, *requests[begin : begin + 25], *spans(begin, begin + 30))
            until(lambda begin=begin: any(number >= begin for number in texts_at(sink)))
            processor.kill()
            send(broker.agent.address, *requests[begin + 25 : begin + 30])
            processor.start()
        until(lambda: (set(texts_at(sink)), set(spans_at(sink))) == (set(range(90)), set(range(90))))
        close_the_window(broker.agent, producer)
        until(lambda: rows_of(sink))

        assert set(rows_of(sink)) == {900}
        assert (dropped(broker.agent), dropped(consumer)) == ({}, {})


def test_a_consumer_that_is_killed_has_not_passed_over_what_nobody_had_taken(peers, broker, tmp_path):
    """Offsets are committed after the processor has acknowledged; by default they would be before."""
    with OtlpSink() as sink:
        processor = Processor(peers, sink, store=tmp_path / "store")
        consumer = reading(peers, broker, processor)
        producer = Producer()
        requests = marked(40, producer)
        send(broker.agent.address, *requests[:10])
        until(lambda: set(texts_at(sink)) == set(range(10)))
        processor.kill()
        send(broker.agent.address, *requests[10:])
        # It has read them, has nobody to hand them to, and had the time to commit offsets, which it does every second.
        until(lambda: "Exporting failed" in consumer.log.read_text())
        time.sleep(3)
        consumer.kill()
        processor.start()
        reading(peers, broker, processor)
        until(lambda: set(texts_at(sink)) == set(range(40)))
        close_the_window(broker.agent, producer)
        until(lambda: rows_of(sink))

        assert set(rows_of(sink)) == {400}
