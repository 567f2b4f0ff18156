"""Where OTLP goes, what listens there, and what it answers: shared by `otel-ml doctor` and `otel-ml send-test`."""
