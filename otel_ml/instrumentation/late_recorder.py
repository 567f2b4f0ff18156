"""The recorder, loaded with the first call of a model instead of with the interpreter.

`opentelemetry-instrument` loads instrumentors into every Python process it reaches, also those that never see a model;
the recorder brings numpy along.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from otel_ml.recording.recorder import Recorder

_recorder: Recorder | None = None


def the_recorder() -> Recorder:
    """The process's recorder; the same object for the life of the process, also in forked children."""
    return _recorder if _recorder is not None else _load()


def _load() -> Recorder:
    global _recorder  # noqa: PLW0603 - a cache of one
    from otel_ml.recording.recorder import get_recorder  # noqa: PLC0415 - see above

    _recorder = get_recorder()
    return _recorder
