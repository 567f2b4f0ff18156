"""Settings of the console."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pydantic import Field, field_validator

from collector_processor.errors import Problem
from collector_processor.server_settings import ServerSettings, server_problems
from collector_processor.settings import Address, Listen

TRACE_ID: Final = "{trace_id}"
ALERT: Final = "{alert}"


class ConsoleSettings(ServerSettings):
    """The pages that show what the processor found out.

    Attributes:
        enabled: Whether there are any.
        endpoint: Everybody who reaches it, and has the token where there is one, reads names of models, columns and
            categories, and distributions. Where it is not named and somebody else listens there, any free port will do.
        trace_url_template: Where your backend shows a trace, with {trace_id} in it, such as
            "http://127.0.0.1:16686/trace/{trace_id}".
        runbook_url_template: Where it says what to do about an alert, with {alert} in it: its name, such as "missing".
    """

    enabled: bool = True
    endpoint: Listen = Address("127.0.0.1", 13180)
    trace_url_template: str | None = Field(default=None, max_length=2000)
    runbook_url_template: str | None = Field(default=None, max_length=2000)

    @field_validator("trace_url_template", "runbook_url_template")
    @classmethod
    def _is_link(cls, value: str | None) -> str | None:
        if value is not None and not value.startswith(("http://", "https://")):
            raise ValueError(f"{value!r} is no link (one that begins with http:// or https://)")
        return value

    @field_validator("trace_url_template")
    @classmethod
    def _has_trace(cls, value: str | None) -> str | None:
        if value is not None and TRACE_ID not in value:
            raise ValueError(f"{value!r} does not say which trace (a link with {TRACE_ID} in it)")
        return value

    def problems(self, path: tuple[str, ...]) -> Iterator[Problem]:
        """What is wrong with certificates and tokens, or that anybody could reach it."""
        if self.enabled:
            yield from server_problems(self, path, does="shows results", unasked="without asking who looks")
