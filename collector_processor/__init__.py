"""The service: OTLP in, drift and alerts out, everything else passed on."""
