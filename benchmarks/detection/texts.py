"""Texts: false alarms on real and made-up ones, which accidents each detector finds, what it costs."""

from __future__ import annotations

import ast
import functools
import json
import os
import re
import sysconfig
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, cast

import numpy as np
import numpy.typing as npt

from benchmarks.figure import Figure
from otel_ml.drift.comparison import distributions
from otel_ml.drift.detector import DriftResult
from otel_ml.drift.text import Characters, TextDetector, Vocabulary, compare_texts
from otel_ml.drift.univariate.psi import PopulationStabilityIndex
from otel_ml.proto import snapshot_pb2 as pb
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole
from otel_ml.sketch.summary import FeatureSummary
from otel_ml.sketch.text_bytes import read_texts
from otel_ml.sketch.text_codec import write_text_sums
from otel_ml.sketch.text_summary import TextSummary
from otel_ml.sketch.text_sums import VocabularySums

Floats = npt.NDArray[np.float64]
Levels = tuple[Floats, npt.NDArray[np.float32]]

LEVEL: Final = 0.05
HIGHEST: Final = 0.07
SIZES: Final = ((200, 200), (2_000, 200), (2_000, 2_000))
LARGE: Final = ((10_000, 10_000), (100_000, 10_000), (100_000, 100_000))
WINDOWS: Final = 1_000
POOL: Final = 4_000
"""Different texts in the largest windows, drawn as often as chance has it."""
REFERENCE_TEXTS: Final = 5_000
WINDOW_TEXTS: Final = 500
ACCIDENT_WINDOWS: Final = 12
SIGNIFICANT: Final = 0.01
NETWORK: Final = re.compile(
    r"\b(socket|server|client|connection|http|url|message|email|header|address)s?\b", re.IGNORECASE
)
KEY: Final = FeatureKey(FeatureRole.FEATURE, "text")


def measure() -> dict[str, Figure]:
    """False alarms, what is found of a catalogue of accidents, and costs."""
    rounds = int(os.environ.get("OTEL_ML_BENCHMARK_ROUNDS", "1"))
    written = documentation()
    figures: dict[str, Figure] = {}
    for name, texts in (("documentation", written), ("topics", made_up(20_000 if rounds else 3_000))):
        figures |= _false_positives(name, _levels(texts), WINDOWS * rounds or 10)
    return {**figures, **_accidents(written, ACCIDENT_WINDOWS * rounds or 1), **_costs()}


@functools.cache
def documentation() -> tuple[str, ...]:
    """Paragraphs of at least five words from the documentation within Python's own library: prose on many topics."""
    library = Path(sysconfig.get_paths()["stdlib"])
    found: set[str] = set()
    for path in sorted(library.rglob("*.py")):
        if not {"site-packages", "test", "tests", "idlelib", "lib2to3"}.isdisjoint(path.relative_to(library).parts):
            continue
        try:
            tree = ast.parse(path.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                paragraphs = re.split(r"\n\s*\n", ast.get_docstring(node) or "")
                found |= {text.strip() for text in paragraphs if len(text.split()) > 4}  # as said
    return tuple(sorted(found))


def made_up(count: int) -> list[str]:
    """Texts of 5 to 200 words, half of them of the text's topic, the rest as frequent as Zipf says."""
    chance = np.random.default_rng(20)
    words = np.array([f"w{place:x}q" for place in range(20_000)])
    shares = 1 / np.arange(1, len(words) + 1)
    shares /= shares.sum()
    sizes = np.clip(chance.lognormal(3.3, 0.8, count), 5, 200).astype(int)
    common = np.split(chance.choice(len(words), sizes.sum(), p=shares), sizes.cumsum()[:-1])
    topics = chance.integers(0, 50, count)
    return [
        " ".join(words[np.where(chance.random(len(places)) < 0.5, 300 * topic + places % 300, places)].tolist())
        for places, topic in zip(common, topics, strict=True)
    ]


def _levels(texts: Sequence[str]) -> Levels:
    batches = list(read_texts(texts))
    return np.concatenate([batch.characters for batch in batches]), np.concatenate([batch.words for batch in batches])


def _sums(levels: Levels, places: npt.NDArray[np.intp]) -> TextSummary:
    summary = TextSummary()
    summary.characters.add(levels[0][places])
    summary.vocabulary.add(levels[1][places[places < len(levels[1])]])
    return summary


def _weighted(powers: Sequence[Floats], whole: VocabularySums, counts: Floats) -> TextSummary:
    """Sums over so many of each text, of powers of its levels; how much buckets go together is that of all."""
    summary = TextSummary()
    summary.characters.texts = summary.vocabulary.texts = int(counts.sum())
    summary.characters.powers += np.stack([counts @ power for power in powers[:3]])
    summary.vocabulary.totals += counts @ powers[3]
    summary.vocabulary.squares += counts @ powers[4]
    summary.vocabulary.pairs, summary.vocabulary.pair_products = whole.pairs, whole.pair_products
    return summary


def _false_positives(name: str, levels: Levels, windows: int) -> dict[str, Figure]:
    """How often clean windows are called unlikely, and what they score; texts are drawn without putting them back."""
    figures: dict[str, Figure] = {}
    detectors: tuple[TextDetector, ...] = (Characters(), Vocabulary())
    size = min(len(levels[0]), len(levels[1]))
    levels = levels[0][:size], levels[1][:size]
    pool = min(size, POOL)
    words = levels[1][:pool].astype(np.float64)
    powers = [*(levels[0][:pool] ** power for power in (1, 2, 3)), words, np.square(words)]
    whole = _sums(levels, np.arange(pool)).vocabulary
    for n, m in (*SIZES, *LARGE):
        chance = np.random.default_rng([n, m])
        results: dict[str, list[DriftResult]] = {detector.name: [] for detector in detectors}
        is_large = (n, m) in LARGE
        if not is_large and n + m > size:
            continue
        for _ in range(windows // 10 or 1 if is_large else windows):
            if is_large:
                sides = [
                    _weighted(powers, whole, chance.multinomial(count, np.full(pool, 1 / pool)).astype(np.float64))
                    for count in (n, m)
                ]
            else:
                places = chance.permutation(size)[: n + m]
                sides = [_sums(levels, places[:n]), _sums(levels, places[n:])]
            for detector in detectors:
                results[detector.name].append(cast("DriftResult", detector.compare(*sides)))
        for detector in detectors:
            found = results[detector.name]
            rate = float(np.mean([(result.p_value or 0.0) < LEVEL for result in found]))
            of = f"{detector.name}.{name}.n{m}.reference{n}"
            # Of a hundred windows of the largest sizes, a tenth may be below a twentieth by accident.
            goal = HIGHEST if not is_large else 2 * HIGHEST
            figures[f"false_positives.{of}"] = Figure(rate, "of windows", goal, LEVEL)
            highest = float(np.quantile([result.score for result in found], 0.99))
            figures[f"clean_score.{of}"] = Figure(highest, "at most in 99 of 100", detector.threshold, 0.0)
    return figures


def _accidents(written: Sequence[str], windows: int) -> dict[str, Figure]:
    """The share of windows in which each way of deciding finds each accident that befalls all texts, or one in ten."""
    texts = [_accented(text) for text in written]
    others = [text for text in texts if not NETWORK.search(text)]
    network = [text for text in texts if NETWORK.search(text)]
    chance = np.random.default_rng(21)
    drawn = chance.permutation(len(others))
    reference = _summary([others[place] for place in drawn[:REFERENCE_TEXTS]])
    rest = [others[place] for place in drawn[REFERENCE_TEXTS:]]
    figures: dict[str, Figure] = {}
    catalogue = {**ACCIDENTS, "topic": lambda _: network[int(chance.integers(len(network)))]}
    share_found: dict[str, list[float]] = {}
    happenings: dict[str, Callable[[str], str]] = {"none": lambda text: text, **catalogue}
    for accident, happen in happenings.items():
        for share in (1.0,) if accident == "none" else (1.0, 0.1):
            repeats = windows * (10 if accident == "none" else 1)
            found: dict[str, int] = {}
            for _ in range(repeats):
                window = [rest[place] for place in chance.permutation(len(rest))[:WINDOW_TEXTS]]
                befallen = [happen(text) if chance.random() < share else text for text in window]
                for result in _results(reference, _summary(befallen)):
                    is_found = result.drifted and (result.p_value or 0.0) < SIGNIFICANT
                    found[result.method] = found.get(result.method, 0) + is_found
            for method, times in found.items():
                rate = times / repeats
                if accident == "none":
                    figures[f"false_alarms.{method}"] = Figure(rate, "of windows", 0.005, 0.0)
                else:
                    if method in {"psi", "content"}:
                        name = f"found.{method}.{accident}.of_{share:.0%}"
                        figures[name] = Figure(rate, "of windows", None, 1.0, better="higher")
                    share_found.setdefault(method, []).append(rate)
    for method, rates in share_found.items():
        # Lengths alone were what decided about texts; the best that decides now is to find three times as much.
        goal = 0.5 if method == "content" else None
        figures[f"found.{method}"] = Figure(float(np.mean(rates)), "of all accidents", goal, 1.0, better="higher")
    return figures


def _results(reference: TextSummary, current: TextSummary) -> list[DriftResult]:
    pair = distributions(_column(reference), _column(current))
    assert pair is not None
    return [PopulationStabilityIndex().compare(*pair), *compare_texts(reference, current)]


def _column(content: TextSummary) -> FeatureSummary:
    return FeatureSummary(KEY, content, Counters(rows=content.count))


def _summary(texts: Sequence[str]) -> TextSummary:
    summary = TextSummary()
    summary.update(texts)
    return summary


def _accented(text: str) -> str:
    """With an accent in some words, so that there is something to damage."""
    return re.sub(r"\b([a-z]+)er\b", r"\1ér", text)


def _every_word(pattern: str, replacement: str, one_in: int) -> Callable[[str], str]:
    def replaced(text: str) -> str:
        return re.sub(pattern, lambda found: replacement if hash_of(found[0]) % one_in == 0 else found[0], text)

    return replaced


def hash_of(word: str) -> int:
    """The same in every run, unlike Python's own."""
    return sum(place * byte for place, byte in enumerate(word.encode(), 1))


LATIN: Final = "abcdefghijklmnopqrstuvwxyz"
OTHER_WORDS: Final = str.maketrans(LATIN, "ebcdifghojklmnupqrstavwxyz")
CYRILLIC: Final = str.maketrans(LATIN, "абцдефгхийклмнопярстувшыжз")
ACCIDENTS: Final[dict[str, Callable[[str], str]]] = {
    "another_language": lambda text: text.translate(OTHER_WORDS),
    "another_script": lambda text: text.translate(CYRILLIC),
    "wrong_encoding": lambda text: text.encode().decode("latin-1"),
    "lost_characters": lambda text: text.encode("ascii", "replace").decode().replace("?", "\ufffd"),
    "html": lambda text: f"<p>{text}</p>",
    "json": lambda text: json.dumps({"text": text}),
    "capitals": str.upper,
    "small_letters": str.lower,
    "template": lambda text: f"Thank you for your question. {text}",
    "cut": lambda text: " ".join(text.split()[:8]),
    "twice": lambda text: f"{text} {text}",
    "one_line": lambda text: " ".join(text.split()),
    "digits_masked": lambda text: re.sub(r"\d", "0", text),
    "names_masked": _every_word(r"\b[A-Za-z]{5,}\b", "[NAME]", 8),
    "a_new_word": _every_word(r"\b[a-z]{5,}\b", "zyntharix", 8),
    "stop_words_dropped": lambda text: re.sub(r"\b(the|a|an|of|to|in|is|and|or|for) ", "", text),
}
"""What happens to texts on their way, beside which other texts come."""


def _costs() -> dict[str, Figure]:
    """What reading takes beside counting words, which was done before, and what is sent on top."""
    texts = [" ".join(text.split()[:100]) for text in made_up(3_000) if len(text.split()) >= 100]
    split = min(_seconds(lambda: [len(text.split()) for text in texts]) for _ in range(15))
    read = min(_seconds(lambda: TextSummary().read(texts)) for _ in range(15))
    summary, message = _summary(texts[:1] * 20 + made_up(1_000)), pb.Text()
    write_text_sums(message, summary.characters, summary.vocabulary)
    return {
        "text.read.100_words": Figure(read / len(texts) * 1e6, "µs", 10.0, split / len(texts) * 1e6),
        "text.bytes.1000_texts": Figure(message.ByteSize(), "B", 2_500.0, None),
    }


def _seconds(work: Callable[[], object]) -> float:
    begun = time.process_time()
    work()
    return time.process_time() - begun
