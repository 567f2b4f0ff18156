"""What is watched over many windows, and how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from collector_processor.settings import Settings
from otel_ml.drift.streaming.methods import StreamingInput, streaming_method
from otel_ml.errors import ConfigurationError

SeriesName = Literal["prediction_mean", "missing_ratio", "drift_score"]


class SlowDriftSettings(Settings):
    """Changes that are too small to show in a window.

    Attributes:
        run_length: Hours without a change to a false alarm in one column, on average, as far as the noise of the column
            is known; 0 watches nothing.
        shift: The change to find soonest, in standard errors of an hour: a smaller one is found later, and is found at
            all where it is above half of this.
        tolerance: What an hour may be off by for nothing, in standard deviations of the column's values.
        learning_days: Days in which the noise of a column is learnt before anything is said of it; a week should be in
            them, or else the first weekend is news.
    """

    run_length: int = Field(default=1_000_000, ge=0, le=1_000_000_000_000)
    shift: float = Field(default=1.0, ge=0.1, le=4)
    tolerance: float = Field(default=0.02, gt=0, le=10)
    learning_days: int = Field(default=6, ge=2, le=60)

    @field_validator("run_length")
    @classmethod
    def _is_long(cls, value: int) -> int:
        if 0 < value < 1000:
            raise ValueError(f"{value!r} is an alarm every few days (0 for none, or at least 1000 hours)")
        return value


class ConceptSettings(Settings):
    """One streaming detector that watches one series of every model.

    Attributes:
        method: "adwin", "kswin" or "page_hinkley"; others of river's want the error of each prediction.
        series: "prediction_mean": mean of a prediction, or the share of true, from the baseline's, in its standard
            deviations; "missing_ratio": of a column, the share of rows without a value; "drift_score": of a column,
            what its drift is decided by.
        settings: Arguments of river's class.
        scale: The size of a change that matters, in the unit of the series.
        quiet: Windows after an alarm without another one.
    """

    method: str
    series: SeriesName = "prediction_mean"
    settings: Mapping[str, object] = Field(default_factory=dict)
    scale: float = Field(default=1.0, gt=0, le=1e9)
    quiet: int = Field(default=24, ge=0, le=1_000_000)

    @field_validator("method")
    @classmethod
    def _watches_numbers(cls, name: str) -> str:
        try:
            method = streaming_method(name)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        if method.inputs is StreamingInput.ERRORS:
            raise ValueError(f"{name!r} wants the error of each prediction (for series: adwin, kswin or page_hinkley)")
        return name
