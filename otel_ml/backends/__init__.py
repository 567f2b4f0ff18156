"""What a backend needs to show our names and to act on them: Grafana boards, Prometheus rules."""
