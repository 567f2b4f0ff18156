"""The two scikit-learn pipelines of 25 features whose servers are measured."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

_ROWS: Final = 2_000
_LETTERS: Final = "abcdefgh"


class Pipeline(NamedTuple):
    """One of them.

    Attributes:
        columns: Name and type of each feature.
        make: Gives the pipeline, not trained yet.
        read: One row of a request, as the pipeline takes it.
    """

    columns: Mapping[str, type]
    make: Callable[[], Any]
    read: Callable[[dict[str, Any]], Any]

    def trained(self) -> Any:
        """The pipeline after it saw 2,000 rows."""
        chance = random.Random(1)
        rows = [self.row(chance) for _ in range(_ROWS)]
        label = [row["number_0"] + row["number_1"] * row["number_2"] > 0 for row in rows]
        known: Any = (
            pd.DataFrame(rows) if str in self.columns.values() else np.array([list(row.values()) for row in rows])
        )
        return self.make().fit(known, label)

    def row(self, chance: random.Random) -> dict[str, Any]:
        """A row by chance."""
        return {
            name: chance.choice(_LETTERS) if kind is str else chance.gauss(0, 1) for name, kind in self.columns.items()
        }


_NUMBERS: Final = {f"number_{index}": float for index in range(20)}
_CATEGORIES: Final = {f"category_{index}": str for index in range(5)}


def _light() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression())


def _full() -> Any:
    return make_pipeline(
        make_column_transformer(
            (make_pipeline(SimpleImputer(), StandardScaler()), list(_NUMBERS)),
            (OneHotEncoder(handle_unknown="ignore"), list(_CATEGORIES)),
        ),
        GradientBoostingClassifier(),
    )


PIPELINES: Final = {
    "light": Pipeline(
        {f"number_{index}": float for index in range(25)}, _light, lambda row: np.array([list(row.values())])
    ),
    "full": Pipeline({**_NUMBERS, **_CATEGORIES}, _full, lambda row: pd.DataFrame([row])),
}
