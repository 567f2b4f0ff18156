"""How telemetry comes in."""
