"""Where clicks on a board lead: to the other board, to the processor's console, to traces."""

from __future__ import annotations

import json
import re
from typing import Final
from urllib.parse import quote

from otel_ml import semconv
from otel_ml.backends import promql
from otel_ml.backends.grafana.panels import Link

FLEET_UID: Final = "otel-ml-fleet"
MODEL_UID: Final = "otel-ml-model"

_VARIABLE: Final = re.compile(r"\$\{[^}]*\}")
_SAME: Final = "${datasource:queryparam}&${traces:queryparam}&${console:queryparam}&${__url_time_range}"


def label(name: str) -> str:
    """A series' label within a link."""
    return f"${{__field.labels.{name}:percentencode}}"


def cell(column: str) -> str:
    """What stands in the same row of a table, by the title of its column, within a link."""
    return f'${{__data.fields["{column}"]:percentencode}}'


def board_of_model(model: str, version: str, feature: str = "") -> Link:
    """The board of one model, over the same time; of one of its features."""
    chosen = f"var-model={model}&var-version={version}" + (f"&var-feature={feature}" if feature else "")
    title = "Look at this feature" if feature else "Open the model's board"
    return Link(title, f"/d/{MODEL_UID}?{chosen}&{_SAME}")


def console_model(model: str, version: str) -> Link:
    """The model in the processor's own console, which has both distributions."""
    return Link("Open in the console", f"${{console:raw}}/model?name={model}&version={version}", in_new_tab=True)


def console_feature(model: str, version: str, feature: str) -> Link:
    """A feature in the processor's own console."""
    url = f"${{console:raw}}/feature?name={model}&version={version}&feature={feature}"
    return Link("Compare distributions in the console", url, in_new_tab=True)


CONSOLE_OF_SERIES: Final = (console_model(label(promql.MODEL), label(promql.VERSION)),)
SERIES_OF_MODEL: Final = (board_of_model(label(promql.MODEL), label(promql.VERSION)), *CONSOLE_OF_SERIES)
SERIES_OF_FEATURE: Final = (
    console_feature(label(promql.MODEL), label(promql.VERSION), label(promql.FEATURE)),
    board_of_model(label(promql.MODEL), label(promql.VERSION), label(promql.FEATURE)),
)


def traces() -> Link:
    """Calls of the model in the data source of traces (TraceQL), over the same time."""
    query = f'{{ span.{semconv.MODEL_NAME} = "${{model}}" }}'
    pane = {
        "datasource": "${traces}",
        "queries": [
            {
                "refId": "A",
                "datasource": {"type": "tempo", "uid": "${traces}"},
                "queryType": "traceql",
                "query": query,
                "limit": 20,
            }
        ],
        "range": {"from": "${__from}", "to": "${__to}"},
    }
    text = json.dumps({"traces": pane}, separators=(",", ":"))
    # Grafana finds its variables in the address only as they are.
    encoded = "".join(
        part if _VARIABLE.fullmatch(part) else quote(part, safe="") for part in re.split(r"(\$\{[^}]*\})", text)
    )
    return Link("Traces of this model", f"/explore?schemaVersion=1&panes={encoded}", in_new_tab=True)
