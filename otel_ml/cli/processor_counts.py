"""What a processor says it counted, read from its status endpoint."""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_TIMEOUT_S: Final = 2.0
_MOST: Final = 16 * 1024 * 1024
_SAMPLE: Final = re.compile(r"^(ml_processor_\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
TEST_MODEL: Final = "otel-ml-send-test"
"""What snapshots that are sent as a test are about."""
# Others send as well; only the rows of the test's own model are surely the test's.
_COUNTED: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = {
    "span": ("ml_processor_received_total", {"ml_processor_signal": "traces"}),
    "metric": ("ml_processor_received_total", {"ml_processor_signal": "metrics"}),
    "log": ("ml_processor_received_total", {"ml_processor_signal": "logs"}),
    "snapshot": ("ml_processor_rows_total", {"ml_model_name": TEST_MODEL}),
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Samples of a processor, by name and labels."""

    samples: Mapping[tuple[str, frozenset[tuple[str, str]]], float]

    def total(self, kind: str) -> float:
        """How much of a kind was counted: "span", "metric", "log" or "snapshot"."""
        name, wanted = _COUNTED[kind]
        of_kind = [(labels, value) for (found, labels), value in self.samples.items() if found == name]
        return sum(value for labels, value in of_kind if wanted.items() <= set(labels))

    def grew(self, before: Counts, kind: str) -> bool:
        """Whether more of a kind was counted since."""
        return self.total(kind) > before.total(kind)


def read(status: str) -> Counts | str:
    """What was counted so far, or why that cannot be read."""
    url = f"{status.rstrip('/')}/metrics"
    if not url.startswith(("http://", "https://")):
        return "is no URL"
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as response:  # noqa: S310 - the scheme is checked above
            text = response.read(_MOST).decode(errors="replace")
    except urllib.error.HTTPError as error:
        with error:
            return f"answered HTTP {error.code}"
    except urllib.error.URLError as error:
        return str(error.reason)
    except (OSError, ValueError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    samples = {(name, frozenset(_LABEL.findall(labels))): float(value) for name, labels, value in _SAMPLE.findall(text)}
    # Collectors answer at the same port.
    return Counts(samples) if samples else "is no processor of otel-ml"
