"""From a captured inference to the OpenTelemetry SDK: queue, worker, summaries, snapshots, metrics, spans, events."""
