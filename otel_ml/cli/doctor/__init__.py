"""`otel-ml doctor`: why telemetry does not arrive. A check is one file in `checks`; nothing else knows it."""

from otel_ml.cli.doctor.command import doctor

__all__ = ["doctor"]
