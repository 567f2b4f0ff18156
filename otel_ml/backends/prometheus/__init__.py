"""Rules for Prometheus and routes for Alertmanager, as data; `rule.py` knows their YAML."""
