"""The page of environment variables."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from typing import Any, Final

from otel_ml import environment_variables
from otel_ml.config import Settings, setting_by_variable
from reference_pages.docstrings import said_of_constants
from reference_pages.markdown import anchored, code, prose, sentence, table, written_from

_DEFAULT: Final = re.compile(r"\sDefault: ")
# What the library reads beside its own: by name, and what for.
_OTHERS: Final = {
    "OTEL_SDK_DISABLED": "`true` records nothing: no thread, no state, no error.",
    "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "Frameworks that are not instrumented, by the names of their entry points,"
    " such as `otel_ml_sklearn`, separated by commas.",
    "OTEL_EXPORTER_OTLP_ENDPOINT": "Where everything goes; read by OpenTelemetry's SDK, as are the headers, protocol,"
    " certificates and the like beside it.",
    "OTEL_SERVICE_NAME": "The service's name on everything; read by OpenTelemetry's SDK, as is"
    " `OTEL_RESOURCE_ATTRIBUTES`.",
}


def page() -> str:
    """The page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield from written_from("otel_ml/environment_variables.py and otel_ml/config.py")
    yield "# Environment variables"
    yield ""
    yield (
        "Settings of the library, where the model runs. The keyword is that of `otel_ml.instrument()`, and wins over"
        " the variable. An empty variable is one that is not set; one whose value is not valid is warned of, and its"
        " default is used. `otel-ml doctor` finds misspelt ones."
    )
    yield ""
    yield from table(("variable", "default", "keyword", "meaning"), _rows())
    yield "Truth values are `true`, `1`, `yes`, `on` and `false`, `0`, `no`, `off`. Patterns may contain `*` and `?`."
    yield ""
    yield "## Variables of others"
    yield ""
    yield "Everything else is OpenTelemetry's own configuration. These of its variables matter most here:"
    yield ""
    yield from table(("variable", "meaning"), ((anchored(name), prose(text)) for name, text in _OTHERS.items()))
    yield "## The processor"
    yield ""
    yield (
        "The processor reads no variables of its own: any value of its [configuration](configuration.md) may be"
        " `${env:NAME}`, or `${env:NAME:-default}`."
    )
    yield ""


def _rows() -> Iterator[tuple[str, ...]]:
    said = said_of_constants(environment_variables)
    defaults = {setting.name: setting.default for setting in dataclasses.fields(Settings)}
    for variable, setting in setting_by_variable().items():
        # The directive and the default are for Sphinx, and for readers of the module.
        meaning = _DEFAULT.split(said[variable].partition("\n\n")[2])[0]
        yield anchored(variable), _default(setting, defaults[setting]), code(setting), sentence(meaning)


def _default(setting: str, value: Any) -> str:
    """As it would be written in the variable."""
    if setting == "capture_events":
        return code("events" if value else "none")
    if isinstance(value, bool):
        return code(str(value).lower())
    return "" if value in (None, "", ()) else code(str(value))
