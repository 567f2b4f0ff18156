"""Whether many features began to drift at once: one change upstream, not as many alerts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_ml.drift.detector import require_integer, require_number

_PRIOR_ONSETS: Final = 1.0
_PRIOR_QUIET: Final = 19.0
"""Before anything was seen, one quiet feature in twenty is taken to begin to drift in a window; twenty verdicts weigh
as much as that opinion."""


@dataclass(frozen=True, slots=True)
class CommonChange:
    """Many features began to drift in the same window.

    Attributes:
        features: Those that did, in the order given.
        measured: How many features had a verdict.
        usual_rate: Share of the quiet features that begins to drift in a window, usually.
        p_value: The probability that as many begin in one window on their own, at the usual rate.
    """

    features: Sequence[str]
    measured: int
    usual_rate: float
    p_value: float

    @property
    def share(self) -> float:
        """Share of the measured features that began to drift."""
        return len(self.features) / self.measured


def common_change(
    verdicts: Mapping[str, bool],
    before: Sequence[Mapping[str, bool]] = (),
    *,
    min_share: float = 0.5,
    min_features: int = 3,
    alpha: float = 0.001,
) -> CommonChange | None:
    """The change that many features share, or None where those that began to drift did so each on its own.

    A feature begins to drift in a window when it drifts there and did not the last time it was measured; until then it
    counts as quiet. On their own, K of N quiet features begin in a window, where K is binomial. Its rate is known from
    the windows before, so that K is beta-binomial (Skellam, "A probability distribution derived from the binomial
    distribution by regarding the probability of success as variable between the sets of trials", 1948). Features are
    correlated, so that a small p-value alone is no proof: a large share has to begin as well.

    Args:
        verdicts: Whether each feature that was measured drifts in this window.
        before: The same of the windows before, the oldest first; windows and features without a verdict are left out.
        min_share: Share of the measured features that has to begin to drift.
        min_features: How many these have to be at least.
        alpha: P-value below which chance does not explain it.

    Raises:
        ConfigurationError: A setting is out of its range.
    """
    require_number("common_change::min_share", min_share, above=0, at_most=1)
    require_integer("common_change::min_features", min_features, at_least=2, at_most=1_000_000)
    require_number("common_change::alpha", alpha, above=0, at_most=1)
    drifted: dict[str, bool] = {}
    onsets = chances = 0
    for window in before:
        for name, drifts in window.items():
            if not drifted.get(name, False):
                chances += 1
                onsets += drifts
            drifted[name] = drifts
    quiet = [name for name in verdicts if not drifted.get(name, False)]
    began = tuple(name for name in quiet if verdicts[name])
    if len(began) < max(min_features, min_share * len(verdicts)):
        return None
    prior = _PRIOR_ONSETS + onsets, _PRIOR_QUIET + chances - onsets
    # Takes longer to import than all else a service needs to start.
    from scipy.stats import betabinom  # noqa: PLC0415 - see above

    p_value = float(betabinom.sf(len(began) - 1, len(quiet), *prior))
    if p_value >= alpha:
        return None
    return CommonChange(began, len(verdicts), prior[0] / sum(prior), p_value)
