"""Every exception of the service, beside those of the kernel.

OtelMLError
├── InvalidConfigurationError   the configuration file has problems; holds all of them
├── StartError                  a component cannot start: port taken, store in use
├── RefusedError                a request cannot be taken now; the client keeps it and comes back
├── TooLargeError               a request can never be taken, however often it comes
├── UndecodableRequestError     bytes are not the OTLP request they claim to be; coming back would not help
├── RetryableError              a backend did not take a request, but may do so later
├── UnauthorizedError           a backend does not let us in; the request is fine
├── PermanentError              a backend will never take this request
└── DeadLetterError             there are no dead letters, or they cannot be read or sent
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from otel_ml.errors import OtelMLError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a configuration, and where.

    Attributes:
        path: Settings from the outside in: ("exporters", "otlp_grpc", "endpoint").
        what: What is wrong, what would be valid, and what was perhaps meant.
    """

    path: tuple[str, ...]
    what: str

    def __str__(self) -> str:
        return f"{'::'.join(self.path)}: {self.what}" if self.path else self.what


class InvalidConfigurationError(OtelMLError):
    """The configuration file has problems."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class StartError(OtelMLError):
    """A component cannot start."""


class RefusedError(OtelMLError):
    """A request cannot be taken now.

    Args:
        reason: Short and of few different values: it becomes an attribute of a metric.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooLargeError(OtelMLError):
    """A request can never be taken: there would not be room for it if nothing else were there."""


class UndecodableRequestError(OtelMLError):
    """Bytes are not the OTLP request they claim to be."""


class RetryableError(OtelMLError):
    """A backend did not take a request, but may do so later.

    Args:
        delay_s: How long the backend asked to be left alone; None when it did not say.
        is_timeout: It did not answer in time.
    """

    def __init__(self, message: str, delay_s: float | None = None, *, is_timeout: bool = False) -> None:
        super().__init__(message)
        self.delay_s = delay_s
        self.is_timeout = is_timeout


class UnauthorizedError(OtelMLError):
    """A backend does not let us in: somebody must act, and the request is fine."""


class PermanentError(OtelMLError):
    """A backend will never take this request.

    Args:
        code: The status it answered with, for telling refusals apart.
    """

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class DeadLetterError(OtelMLError):
    """There are no dead letters, or they cannot be read or sent."""
