"""Texts to compare: drawn from a vocabulary with a topic, so that the words of one text do not come independently."""

import numpy as np

from otel_ml.sketch.text_summary import TextSummary

SYLLABLES = ("ka", "re", "mon", "ti", "lus", "ber", "sha", "do", "ine", "vol")
VOCABULARY = [
    f"{first}{second}{third}" for first in SYLLABLES for second in SYLLABLES for third in (*SYLLABLES[:4], "")
]


def texts_of(rng, count, *, words=40, topics=8, offset=0):
    """Texts of about `words` words; half of each are of its topic, the others of all, as frequent as Zipf says."""
    ranks = 1 / np.arange(1, len(VOCABULARY) + 1)
    ranks /= ranks.sum()
    found = []
    for size in rng.poisson(words, count):
        common = rng.choice(len(VOCABULARY), size // 2, p=ranks)
        topical = rng.integers(0, 30, size - size // 2) + 30 * int(rng.integers(0, topics)) + offset
        places = np.concatenate([common, topical % len(VOCABULARY)])
        found.append(" ".join(VOCABULARY[place] for place in places.tolist()).capitalize() + ".")
    return found


def summary_of(texts):
    summary = TextSummary()
    summary.update(texts)
    return summary
