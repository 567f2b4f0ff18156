"""Every exception of ours.

OtelMLError
├── ConfigurationError          a setting is wrong; names the setting, what it was and what would be valid
├── IncompatibleSketchError     two summaries cannot be merged or compared
├── CorruptSketchError          bytes are not a valid image of the sketch they claim to be
├── CorruptSnapshotError        bytes are not a valid snapshot
├── BaselineError               a baseline file or its source cannot be used; names the file and what was expected
└── NotWatchableError           `watch` was given something that is no torch.nn.Module
"""

from __future__ import annotations


class OtelMLError(Exception):
    """Whatever this project raises on purpose."""


class ConfigurationError(OtelMLError):
    """A setting is wrong."""


class IncompatibleSketchError(OtelMLError):
    """Two summaries describe different things and cannot be merged or compared."""


class CorruptSketchError(OtelMLError):
    """Bytes are not a valid image of the sketch they claim to be."""


class CorruptSnapshotError(OtelMLError):
    """Bytes are not a valid snapshot."""


class BaselineError(OtelMLError):
    """A baseline file, or the data a baseline should be built from, cannot be used."""


class NotWatchableError(OtelMLError, TypeError):
    """What should be watched is no torch.nn.Module."""
