"""Routes for Alertmanager: one notification a model, by urgency, and nothing that another alert says already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from otel_ml.backends.promql import FEATURE, MODEL, VERSION

_RECEIVERS: Final = "http://127.0.0.1:5001"

CONFIGURATION: Final[Mapping[str, Any]] = {
    "route": {
        "receiver": "info",
        # One notification for all that is wrong with a model; alerts about processors name none, and share another.
        "group_by": [MODEL],
        "group_wait": "1m",
        "group_interval": "5m",
        "repeat_interval": "4h",
        "routes": [
            {"matchers": ['severity="page"'], "receiver": "page", "group_wait": "30s", "repeat_interval": "1h"},
            {"matchers": ['severity="ticket"'], "receiver": "ticket", "repeat_interval": "24h"},
            {"matchers": ['severity="info"'], "receiver": "info", "group_wait": "5m", "repeat_interval": "7d"},
        ],
    },
    "inhibit_rules": [
        {
            "source_matchers": ['alertname="MLCommonChange"'],
            "target_matchers": ['alertname=~"MLFeatureDrift|MLFeatureDriftThreshold"'],
            "equal": [MODEL, VERSION],
        },
        {
            "source_matchers": ['alertname="MLFeatureLost"'],
            "target_matchers": [
                'alertname=~"MLMissingValues|MLMissingThreshold|MLFeatureDrift|MLFeatureDriftThreshold"'
            ],
            "equal": [MODEL, VERSION, FEATURE],
        },
        {
            "source_matchers": ['alertname="MLTelemetryAbsent"'],
            "target_matchers": ['alertname=~"MLModelSilent|MLModelUnwatched"'],
        },
        {
            "source_matchers": ['alertname="MLProcessorLogNearlyFull"'],
            "target_matchers": ['alertname=~"MLProcessorLogFilling|MLProcessorBehind"'],
        },
    ],
    "receivers": [
        {"name": name, "webhook_configs": [{"url": f"{_RECEIVERS}/{name}"}]} for name in ("page", "ticket", "info")
    ],
}
