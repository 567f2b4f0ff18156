"""A column's two distributions as an Altair chart, for notebooks in which one wants to go on drawing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from otel_ml.comparing.column import ColumnReport
from otel_ml.drawing.palette import LIGHT
from otel_ml.errors import BaselineError

if TYPE_CHECKING:
    import altair as alt


def chart(column: ColumnReport, *, source: str) -> alt.Chart:
    """Bars of the baseline, and of current values in front of them.

    Raises:
        ModuleNotFoundError: Altair is not installed.
        BaselineError: There is nothing to draw.
    """
    try:
        import altair as alt  # noqa: PLC0415 - optional, and slow to import
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("plot() needs Altair: pip install 'otel-ml[altair]'", name="altair") from error
    if column.frame is None:
        raise BaselineError(f"report on {source}: of column {column.name!r} there is nothing to draw")
    sides = [("baseline", column.frame.shares)]
    if column.shares is not None:
        sides.append(("current", column.shares))
    names = column.frame.names
    rows = [
        {"bin": name, "place": place, "share": float(shares[place]), "of": side}
        for side, shares in sides
        for place, name in enumerate(names)
    ]
    drawn: alt.Chart = (
        # Inline: a chart that is saved or sent holds all of it.
        alt.Chart({"values": rows}, title=column.name, width=560, height=200)
        .mark_bar()
        .encode(
            x=alt.X("bin:N", sort=list(names), title=None),
            xOffset=alt.XOffset("of:N", sort=["baseline", "current"]),
            y=alt.Y("share:Q", axis=alt.Axis(format="%"), title="share of values"),
            color=alt.Color(
                "of:N",
                scale=alt.Scale(domain=["baseline", "current"], range=[LIGHT["reference"], LIGHT["current"]]),
                title=None,
            ),
            tooltip=[alt.Tooltip("bin:N"), alt.Tooltip("of:N"), alt.Tooltip("share:Q", format=".2%")],
        )
    )
    return drawn
