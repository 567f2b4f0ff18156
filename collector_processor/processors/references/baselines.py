"""Which baseline a model is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_ml.baseline import Baseline
from otel_ml.sketch.feature import ModelKey


class References:
    """Baselines by model and version."""

    def __init__(self, baselines: Iterable[Baseline]) -> None:
        self._by_model = {baseline.model: baseline for baseline in baselines}

    @property
    def all(self) -> Sequence[Baseline]:
        """Every one of them."""
        return [*self._by_model.values()]

    def replace(self, baselines: Iterable[Baseline]) -> None:
        """Have these from now on; whoever looks one up meanwhile gets the old or the new one."""
        self._by_model = {baseline.model: baseline for baseline in baselines}

    def __len__(self) -> int:
        return len(self._by_model)

    def find(self, model: ModelKey) -> Baseline | None:
        """The model's own baseline, or the only one that can be meant where either side left the version open."""
        exact = self._by_model.get(model)
        if exact is not None:
            return exact
        if model.version:
            return self._by_model.get(ModelKey(model.name, ""))
        candidates = [baseline for key, baseline in self._by_model.items() if key.name == model.name]
        return candidates[0] if len(candidates) == 1 else None
