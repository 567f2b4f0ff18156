"""From the arguments of `record()` to an `Inference`."""

from __future__ import annotations

import math
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from otel_ml.recording.guard import failed
from otel_ml.recording.inference import RECORD, Inference, ModelInfo, Told
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import Sequence

    from otel_ml.config import Settings

_DEFAULT_NAME: Final = "default"
_MAX_INFOS: Final = 1_000
_TOLD: Final = len(Told._fields)


class ToldReader:
    """Reads what `record()` was told; models of one name share one ModelInfo."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._infos: dict[Any, ModelInfo] = {}

    def inferences(self, taken: Sequence[Any]) -> list[Any]:
        """What was taken from the queue, with everything told made an inference; what makes none is left out."""
        if set(map(len, taken)) == {_TOLD}:
            rare = {(told[0], told[4]) for told in taken} if _is_plain(taken) else ()
            if len(rare) == 1:
                info = self.info(taken[0][0], taken[0][4], None)
                return [(info, RECORD, told[1], told[2], told[3]) for told in taken]
        inferences = []
        for entry in taken:
            if len(entry) == _TOLD:
                try:
                    inferences.append(self.inference(Told(*entry)))
                except Exception as error:
                    failed("record()", error)
            else:
                inferences.append(entry)
        return inferences

    def inference(self, told: Told) -> Inference:
        """One inference of one telling."""
        return Inference(
            self.info(told.model, told.version, told.feature_names),
            RECORD,
            told.features,
            told.predictions,
            told.scores,
            prediction_id=_ids(told.prediction_id),
            timestamp_unix_nano=nanoseconds_of(told.timestamp),
            segments=told.segments or None,
            entity_id=told.entity_id,
        )

    def info(self, model: Any, version: Any, feature_names: Sequence[Any] | None) -> ModelInfo:
        """The model of that name and version: else those of the settings, else "default"."""
        names = None if feature_names is None else tuple(map(str, feature_names))
        info = self._infos.get((model, version, names))
        if info is None:
            settings = self._settings
            name = str(model) if model is not None else settings.model_name or _DEFAULT_NAME
            number = str(version) if version is not None else settings.model_version if model is None else ""
            info = ModelInfo(ModelKey(name, number), feature_names=names)
            if len(self._infos) < _MAX_INFOS:
                info = self._infos.setdefault((model, version, names), info)
        return info


def _is_plain(taken: Sequence[Any]) -> bool:
    """Whether nobody gave names, an id, a time, segments or an entity."""
    nothing = (None, None, None, None, None)
    return all(told[5:] == nothing for told in taken)


def _ids(given: Any) -> str | tuple[str, ...] | None:
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, (list, tuple)) or hasattr(given, "tolist"):
        return tuple(map(str, given))
    return str(given)


def nanoseconds_of(timestamp: float | datetime | None) -> int:
    """Nanoseconds since the epoch; 0, which stands for now, for nothing and for what cannot be."""
    if timestamp is None:
        return 0
    if isinstance(timestamp, datetime):
        if timestamp.tzinfo is None:
            timestamp = timestamp.replace(tzinfo=timezone.utc)
        timestamp = timestamp.timestamp()
    seconds = float(timestamp)
    # What 64 bits hold on the wire; a time beyond is a mistake, and now is the better guess.
    return int(seconds * 1e9) if math.isfinite(seconds) and 0.0 < seconds < 9.2e9 else 0
