"""NannyML: what its univariate drift calculator says with its defaults, and what it costs."""

from __future__ import annotations

from typing import Any

from benchmarks.peer_libraries.child import Comparison, main
from benchmarks.peer_libraries.windows import Array, Block, Case

_CHUNKS = 10
"""By default it cuts the reference into ten chunks, and takes their mean and three standard deviations as threshold."""


def alarms(case: Case, block: Block) -> dict[str, list[bool]]:
    """The window as one chunk against the reference's ten, and against ten that are no larger than the window.

    Not asked where the window is larger than a tenth of the reference.
    """
    rows = len(next(iter(block.reference.values())))
    if rows < _CHUNKS * case.rows:
        return {}
    if any(case.nulls):
        return {"nannyml_missing_values": _missing(block, rows // _CHUNKS)}
    found = {"nannyml_default": _drifted(block, rows // _CHUNKS)}
    if rows > _CHUNKS * case.rows:
        same = {name: values[: _CHUNKS * case.rows] for name, values in block.reference.items()}
        found["nannyml_chunks_of_window_size"] = _drifted(Block(same, block.current), case.rows)
    return found


def _drifted(block: Block, chunk_rows: int) -> list[bool]:
    from nannyml import UnivariateDriftCalculator

    return _alerts(UnivariateDriftCalculator(column_names=list(block.reference), chunk_size=chunk_rows), block)


def _missing(block: Block, chunk_rows: int) -> list[bool]:
    from nannyml import MissingValuesCalculator

    return _alerts(MissingValuesCalculator(column_names=list(block.reference), chunk_size=chunk_rows), block)


def _alerts(calculator: Any, block: Block) -> list[bool]:
    import pandas as pd

    result = calculator.fit(pd.DataFrame(block.reference)).calculate(pd.DataFrame(block.current))
    found = result.filter(period="analysis").to_df().xs("alert", axis=1, level=-1)
    if found.shape != (1, len(block.reference)):
        raise RuntimeError(f"it gave {found.shape} verdicts (expected one for each of {len(block.reference)} columns)")
    alerts: list[bool] = found.iloc[0].tolist()
    return alerts


def _fit(reference: Any) -> Any:
    from nannyml import UnivariateDriftCalculator

    return UnivariateDriftCalculator(column_names=list(reference.columns)).fit(reference)


def _as_frame(matrix: Array) -> Any:
    import pandas as pd

    return pd.DataFrame(matrix, columns=[f"f{index}" for index in range(matrix.shape[1])])


COMPARISONS = {"nannyml": Comparison(_fit, lambda calculator, current: calculator.calculate(current).to_df())}

if __name__ == "__main__":
    main(alarms, COMPARISONS, _as_frame)
