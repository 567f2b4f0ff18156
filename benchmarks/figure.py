"""One measured figure, beside its goal and the physical limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure.

    Attributes:
        value: As measured, in `unit`.
        goal: What the design asks for; None for what others cost, which is here to compare with.
        limit: What the machine could do at best, measured in the same run where it can be; None: nothing bounds it.
        better: Which direction is an improvement.
    """

    value: float
    unit: str
    goal: float | None
    limit: float | None
    better: Literal["lower", "higher"] = "lower"

    @property
    def met(self) -> bool:
        """Whether the goal is reached; what has none cannot miss it."""
        if self.goal is None:
            return True
        return self.value <= self.goal if self.better == "lower" else self.value >= self.goal


Figures = Mapping[str, Figure]


def as_json(figures: Figures) -> dict[str, object]:
    """The machine-readable form that every benchmark prints with `--json`."""
    return {"figures": {name: asdict(figure) for name, figure in figures.items()}}


def as_table(figures: Figures) -> str:
    """The same for people: name, value, goal, limit, and whether the goal is met."""
    rows = [("", "measured", "goal", "limit", "")]
    for name, figure in figures.items():
        limit = "-" if figure.limit is None else _number(figure.limit)
        sign = "≤" if figure.better == "lower" else "≥"
        rows.append(
            (
                name,
                f"{_number(figure.value)} {figure.unit}",
                "-" if figure.goal is None else f"{sign} {_number(figure.goal)}",
                limit,
                "" if figure.goal is None else "met" if figure.met else "MISSED",
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    return "\n".join(
        f"{row[0]:<{widths[0]}}  {row[1]:>{widths[1]}}  {row[2]:>{widths[2]}}  {row[3]:>{widths[3]}}  {row[4]}".rstrip()
        for row in rows
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
