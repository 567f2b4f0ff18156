"""Evidently: what `ValueDrift` says with its defaults, and what `DataDriftPreset` costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.peer_libraries.child import Comparison, main
from benchmarks.peer_libraries.windows import Array, Block, Case

_CHECKED_COLUMNS = 2
_FIRST_COLUMN = "column_0"
"""Of the block in which each case is asked through the library's own report too: once a case, for it is slow."""
_SMALL_REFERENCE = 1_000
"""Rows up to which a reference is given tests instead of distances."""


def alarms(case: Case, block: Block) -> dict[str, list[bool]]:
    """Its choice for references above and up to 1,000 rows, and its PSI."""
    if any(case.nulls):
        return {"evidently_missing_values": _missing(block)}
    found = {"evidently_default": _drifted(case, block.reference, block.current, None)}
    if case.rows <= _SMALL_REFERENCE:
        # The first rows of the same reference.
        small = {name: values[:_SMALL_REFERENCE] for name, values in block.reference.items()}
        found["evidently_default_reference_1000"] = _drifted(case, small, block.current, None)
    if not case.categories:
        found["evidently_psi"] = _drifted(case, block.reference, block.current, "psi")
    return found


def _drifted(
    case: Case, reference: Mapping[str, Array], current: Mapping[str, Array], method: str | None
) -> list[bool]:
    """What the report decides with, without its plots, which take a tenth of a second a column."""
    import pandas as pd
    from evidently.legacy.calculations.stattests import get_stattest
    from evidently.legacy.core import ColumnType

    # Its name alone would find the test, but in the test stand for neither kind.
    kind = ColumnType.Categorical if case.categories else ColumnType.Numerical
    results = []
    for name in reference:
        was, now = pd.Series(reference[name]), pd.Series(current[name])
        results.append(get_stattest(was, now, kind, method)(was, now, kind, None))
    if _FIRST_COLUMN in reference:
        _check_report_agrees(case, reference, current, method, [result.drift_score for result in results])
    return [result.drifted for result in results]


def _check_report_agrees(
    case: Case,
    reference: Mapping[str, Array],
    current: Mapping[str, Array],
    method: str | None,
    scores: list[float],
) -> None:
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    names = list(reference)[:_CHECKED_COLUMNS]
    definition = DataDefinition(**{"categorical_columns" if case.categories else "numerical_columns": names})
    was, now = (
        Dataset.from_pandas(pd.DataFrame({name: side[name] for name in names}), data_definition=definition)
        for side in (reference, current)
    )
    report = Report([ValueDrift(column=name, method=method) for name in names]).run(now, was)
    reported = [metric["value"] for metric in report.dict()["metrics"]]
    if not all(map(math.isclose, reported, scores)):
        raise RuntimeError(f"its report says {reported}, its test {scores[:_CHECKED_COLUMNS]}")


def _missing(block: Block) -> list[bool]:
    """The test that `include_tests` adds to the share of missing values when there is a reference."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import MissingValueCount

    definition = DataDefinition(numerical_columns=list(block.reference))
    was, now = (
        Dataset.from_pandas(pd.DataFrame(side), data_definition=definition) for side in (block.reference, block.current)
    )
    report = Report([MissingValueCount(column=name) for name in block.reference], include_tests=True).run(now, was)
    tests = [test for test in report.dict()["tests"] if not test["bound_test"]["is_count"]]
    return [test["status"].value == "FAIL" for test in tests]


def _report(reference: Any, current: Any) -> object:
    from evidently import Report
    from evidently.presets import DataDriftPreset

    return Report([DataDriftPreset()]).run(current, reference).dict()


def _count(reference: Any, current: Any) -> object:
    from evidently import Report
    from evidently.metrics import DriftedColumnsCount

    return Report([DriftedColumnsCount()]).run(current, reference).dict()


def _as_dataset(matrix: Array) -> Any:
    import pandas as pd
    from evidently import DataDefinition, Dataset

    frame = pd.DataFrame(matrix, columns=[f"f{index}" for index in range(matrix.shape[1])])
    return Dataset.from_pandas(frame, data_definition=DataDefinition(numerical_columns=list(frame.columns)))


COMPARISONS = {
    "evidently_preset": Comparison(lambda reference: reference, _report),
    "evidently_drifted_columns": Comparison(lambda reference: reference, _count),
}

if __name__ == "__main__":
    main(alarms, COMPARISONS, _as_dataset)
