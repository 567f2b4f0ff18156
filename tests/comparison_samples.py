"""Training data and later data of a small model, for tests of comparisons."""

import numpy as np

from otel_ml.baseline import Baseline

HOSTILE = "<script>alert('x')</script>"


def rows(count, *, seed, drifted=False):
    """A dict of columns of every kind; where `drifted`, some of them changed."""
    random = np.random.default_rng(seed)
    one = random.normal(size=count)
    words = np.array(["GOOD!!", "refund", "x"] if drifted else ["good", "bad", "late", "parcel"])
    return {
        "amount": random.lognormal(3, 1, count) * (2 if drifted else 1),
        "age": random.normal(40, 12, count).round(),
        "country": random.choice(["DE", "FR", "US"], count, p=[0.1, 0.3, 0.6] if drifted else [0.5, 0.3, 0.2]).tolist(),
        HOSTILE: random.normal(size=count),
        "member": random.random(count) < 0.3,
        "when": (1_700_000_000 + random.uniform(0, 86_400 * 30, count)).astype("datetime64[s]"),
        "note": [" ".join(random.choice(words, 6)) for _ in range(count)],
        "vector": random.normal(drifted, 1, (count, 3)),
        "gaps": np.where(random.random(count) < (0.3 if drifted else 0.01), np.nan, random.normal(size=count)),
        "one": one,
        "other": (-one if drifted else one) + random.normal(size=count),
        "prediction": random.random(count) < 0.1,
        "score": random.beta(2, 5, count),
    }


def baseline(**options):
    """Of 8,000 rows."""
    given = {"model": "fraud", "version": "3", "predictions": "prediction", "scores": "score", "text": "note"} | options
    return Baseline.build(rows(8000, seed=0), **given)
