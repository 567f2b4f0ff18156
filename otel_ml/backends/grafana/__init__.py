"""Boards for Grafana, as data: `board.py` and `panels.py` know its JSON, `fleet.py` and `model.py` what to show."""
