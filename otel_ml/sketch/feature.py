"""What a summary is about: a model, and one column of its input or output."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class FeatureKind(Enum):
    """How the values of a column are to be read."""

    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    CATEGORICAL = "categorical"
    TEXT = "text"
    """Free text: its length, words and variety are summarised, never its words."""
    DATETIME = "datetime"
    """Points in time."""
    EMBEDDING = "embedding"
    """Vectors of one length."""
    OPAQUE = "opaque"
    """Not summarised by this version: its rows, missing and mismatched values are counted, no more."""


class FeatureRole(Enum):
    """Which side of the model a column stands on."""

    FEATURE = "feature"
    PREDICTION = "prediction"
    SCORE = "score"
    """A probability or decision value beside the prediction."""
    JOINT = "joint"
    """All columns together: what is said of how they go along, or of whole rows, and no column of its own."""


class ModelKey(NamedTuple):
    """One version of one model; an unknown version is the empty string."""

    name: str
    version: str = ""


class FeatureKey(NamedTuple):
    """One column of one model."""

    role: FeatureRole
    name: str


@dataclass(slots=True)
class Counters:
    """Rows in which a column was due, by what was found there.

    Attributes:
        rows: Rows in which the column was due, present or not.
        missing: None, NaN, null, or absent from the row.
        mismatched: Present, but not of the column's kind.
        positive_infinite: +inf, and integers beyond the range of a double.
        negative_infinite: -inf, likewise.
        unchecked: Of all rows, those that came as a histogram, which counts finite values and nothing else: how many
            rows without one there were beside them is not known.
    """

    rows: int = 0
    missing: int = 0
    mismatched: int = 0
    positive_infinite: int = 0
    negative_infinite: int = 0
    unchecked: int = 0

    @property
    def valid(self) -> int:
        """Rows whose value a sketch can hold: present, of the right kind, finite."""
        return self.rows - self.missing - self.mismatched - self.positive_infinite - self.negative_infinite

    def merge(self, other: Counters) -> None:
        """Add the rows of `other`."""
        self.rows += other.rows
        self.missing += other.missing
        self.mismatched += other.mismatched
        self.positive_infinite += other.positive_infinite
        self.negative_infinite += other.negative_infinite
        self.unchecked += other.unchecked
