"""Concept drift in a stream: values that come one by one, and an alarm soon after they change."""

from otel_ml.drift.streaming.detector import StreamingDetector, StreamingState
from otel_ml.drift.streaming.methods import STREAMING_METHODS, StreamingInput, StreamingMethod

__all__ = ["STREAMING_METHODS", "StreamingDetector", "StreamingInput", "StreamingMethod", "StreamingState"]
