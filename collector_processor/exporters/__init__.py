"""How telemetry goes out."""
