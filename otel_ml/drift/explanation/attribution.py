"""How much of a change in the predictions each feature can account for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from otel_ml.drift.explanation.weights import importance_shares


@dataclass(frozen=True, slots=True)
class Attribution:
    """The drift of a prediction, divided among the features.

    Attributes:
        shares: For each feature the share it can account for, at least 0, in the order given.
        unexplained: What none of them can account for; it and the shares sum to 1, or are all 0 where the prediction
            did not drift.
    """

    shares: Mapping[str, float]
    unexplained: float


def attribute_prediction_drift(
    prediction: float, features: Mapping[str, float], importances: Mapping[str, float] | None = None
) -> Attribution:
    """Divide the drift of a prediction among features by how far each moved and how much the model relies on it.

    This is an attribution, and no proof of a cause. It takes the model to add up contributions of uncorrelated
    features. A feature that moved eⱼ standard deviations (see `effect_sizes`) and makes up wⱼ of the prediction's own
    can then have moved the prediction's mean by at most aⱼ = wⱼ · eⱼ of these, with wⱼ the importances divided by the
    root of the sum of their squares. Where these add up to less than the prediction moved, e, a feature's share is
    aⱼ / e, and the rest is unexplained: the model or what it does not report changed. Where they add up to more, the
    share is aⱼ / Σ aⱼ.

    For a prediction that is linear in uncorrelated features, and importances that are |coefficient| times standard
    deviation, aⱼ is the size of the term of feature j in the decomposition of a difference of means of Kitagawa (1955),
    Oaxaca (1973) and Blinder (1973), in standard deviations; the unexplained part has its name from there.

    What summaries cannot tell, and so neither can this:

    - Signs: two features whose effects cancel each other out get shares all the same.
    - Correlation: of two features that carry the same information, both get a share, by their importances. Joint
      changes that leave each feature as it was (a correlation that broke) are unexplained.
    - Causes: which feature moved because another one did takes a causal graph and rows; with these, Budhathoki,
      Janzing, Blöbaum & Ng, "Why did the distribution change?" (2021) divide the change by Shapley values.
    - Meaning of the importances: they should say how far a feature moves the prediction (mean |SHAP value|, or
      |coefficient| times standard deviation). Where they say how much variance or squared loss it explains, as the
      impurity of trees and permutation do, pass their square roots; else the largest get more than they should.

    Args:
        prediction: How far the prediction moved, of `effect_sizes`.
        features: How far each feature moved, likewise; 0 for one whose drift is not significant, or what chance does to
            many features adds up.
        importances: How much the model relies on each feature, on any scale; a feature that is not named has none.
            Where nothing is known of any of `features`, all count the same.

    Raises:
        ValueError: An effect size or an importance is no finite number of at least 0.
    """
    for subject, size in [
        ("the prediction", prediction),
        *((f"feature {name!r}", features[name]) for name in features),
    ]:
        if not 0 <= size < math.inf:
            raise ValueError(f"effect size of {subject}: {size!r} (must be a finite number of at least 0)")
    if prediction == 0.0:
        return Attribution(dict.fromkeys(features, 0.0), 0.0)
    everything = importance_shares({**features, **(importances or {})}, importances)
    if not any(everything[name] for name in features):
        everything = importance_shares(features, None)
    norm = math.hypot(*everything.values())
    reach = {name: everything[name] / norm * size for name, size in features.items()}
    whole = max(prediction, math.fsum(reach.values()))
    shares = {name: size / whole for name, size in reach.items()}
    return Attribution(shares, max(0.0, 1.0 - math.fsum(shares.values())))
