"""The false discovery rate over all windows of a model, not of each window by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from otel_ml.drift.detector import require_integer, require_number
from otel_ml.drift.false_discovery import benjamini_hochberg, benjamini_yekutieli
from otel_ml.drift.sequential.verdict import read_number

MAX_HORIZON: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class OnlineVerdict:
    """What one window's p-values amount to, given all windows before.

    Attributes:
        level: The false discovery rate this window was allowed.
        q_values: For each p-value the level at which it would just count as a discovery; None where there was no test.
        rejected: Whether it counts, that is, whether its q-value is at most `level`; None where there was no test.
    """

    level: float
    q_values: Sequence[float | None]
    rejected: Sequence[bool | None]


class OnlineFdr:
    """Benjamini-Hochberg in every window, at levels that add up to one false discovery rate over many windows.

    BH at 5 % in each window means a false alarm in every twentieth, for ever. Here window t of n tests has the level

        αₜ = wₜ · level · (n + R) / n        (at most `level`)

    with R the discoveries in the windows before it: BatchPRDS of Zrnic, Jiang, Ramdas & Jordan, "The Power of Batching
    in Multiple Hypothesis Testing" (AISTATS 2020). It is their variant for p-values that depend on each other
    positively within a window, as those of correlated features do. The other one, BatchBH, asks for independent
    p-values and grants discoveries more: while one column of 100 drifts, it tests the others at half the full level in
    every window, for months.

    Weights w that sum to 1 over endless windows must shrink: with wₜ ∝ t^-1.6, a usual choice, drift that begins after
    a year of hourly windows needs a p-value 2 million times smaller than on the first day. A monitor is not an
    experiment that ends, so the account is by stretches of `horizon` windows, wₜ = 1/horizon in each, and R begins anew
    with each. The same p-value is then found in any window, however many clean ones went before: one column of 100
    needs level / horizon / 100, which is 5e-7 with the defaults; five columns together, five times as much.

    What is guaranteed, per stretch, and what is not:

    - The expected share of false discoveries among the discoveries is at most `level` if p-values are independent
      between windows and positively dependent (PRDS) within each.
    - As long as nothing drifts, the probability of any discovery is at most `level` whatever the dependence between
      windows (each window adds its own αₜ, by Simes's inequality). That matters: all windows are compared with one
      baseline, whose sampling error is in all their p-values. So on a clean model a false discovery comes once in
      horizon / level windows, 20,000 with the defaults.
    - With `any_dependence`, the above holds for any dependence within a window too (Benjamini & Yekutieli, 2001), at
      the price of p-values smaller by 1 + 1/2 + … + 1/n.
    - Drift that lasts is a discovery in every window. These count, and are true; but as they raise R, the share of
      false ones is small in part because many true ones are alike. So R counts for at most the level of an ordinary
      BH, and a horizon later for nothing.
    - p-values must be valid. Against a baseline that knows no seasons, every evening is a discovery, and a true one.

    A window in which nothing was tested uses nothing up. Not thread-safe.

    Args:
        level: The false discovery rate.
        horizon: Over how many windows.
        any_dependence: Assume nothing about the dependence between the columns of a window.

    Raises:
        ConfigurationError: A setting is not valid.
    """

    __slots__ = ("_adjusted", "_discoveries", "_horizon", "_level", "_windows")

    def __init__(self, level: float = 0.05, horizon: int = 1000, *, any_dependence: bool = False) -> None:
        require_number("online_fdr::level", level, above=0, at_most=0.5)
        require_integer("online_fdr::horizon", horizon, at_least=1, at_most=MAX_HORIZON)
        self._level = level
        self._horizon = horizon
        self._adjusted = benjamini_yekutieli if any_dependence else benjamini_hochberg
        self._windows = 0
        self._discoveries = 0

    def level_of(self, tests: int) -> float:
        """The level that a window with so many tests would have if it came next."""
        if tests < 1:
            return self._level / self._horizon
        discoveries = self._discoveries if self._windows < self._horizon else 0
        return min(self._level, self._level / self._horizon * (tests + discoveries) / tests)

    def observe(self, p_values: Sequence[float | None]) -> OnlineVerdict:
        """Take the next window's p-values in, one for each column, None or NaN where there was no test.

        Raises:
            ValueError: A p-value is not in [0, 1]; nothing was taken in.
        """
        q_values = self._adjusted(p_values)
        tests = sum(q_value is not None for q_value in q_values)
        level = self.level_of(tests)
        rejected = [None if q_value is None else q_value <= level for q_value in q_values]
        if tests:
            if self._windows >= self._horizon:
                self._windows = self._discoveries = 0
            self._windows += 1
            self._discoveries += sum(map(bool, rejected))
        return OnlineVerdict(level, q_values, rejected)

    def encode(self) -> dict[str, float]:
        """Everything to be remembered, of the same few bytes however many windows there were."""
        return {"windows": self._windows, "discoveries": self._discoveries}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where `encode` was called, perhaps with other settings.

        Raises:
            ValueError: The state is not one; nothing was changed.
        """
        windows, discoveries = read_number(state, "windows"), read_number(state, "discoveries")
        self._windows, self._discoveries = int(windows), int(discoveries)
