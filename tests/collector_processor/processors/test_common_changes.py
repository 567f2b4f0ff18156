"""Many features that begin to drift at once are one change."""

from processor_samples import MINUTE, MODEL, START

from collector_processor.processors.common_changes import CommonChanges
from collector_processor.processors.evaluation import DRIFT, Check, FeatureEvaluation, WindowEvaluation
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureKind, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Segment

NAMES = [f"f{index}" for index in range(10)]
ALPHA = 0.01


def window(drifted, *, names=NAMES, model=MODEL, segment=None, role=FeatureRole.FEATURE):
    features = []
    for name in names:
        is_big = name in drifted
        check = Check(DRIFT, "psi", 0.5 if is_big else 0.0, 0.2, is_big, 1e-9, 1_000, q_value=1e-9)
        key = FeatureKey(role, name)
        features.append(FeatureEvaluation(key, FeatureKind.NUMERIC, Counters(rows=1_000), 1_000, checks=[check]))
    end = START + 5 * MINUTE
    return WindowEvaluation(model, START, end, 1_000, False, "evaluated", "ab12cd34", features, segment)


def explained(changes, name, model=MODEL):
    return changes.explains(model, FeatureKey(FeatureRole.FEATURE, name))


def test_many_at_once_are_told_once():
    """In the window where they begin, and not again while they last."""
    changes = CommonChanges(ALPHA, 3)

    told = [changes.observe(window(drifted)) for drifted in ((), (), NAMES[:8], NAMES[:8], NAMES[:8])]

    assert [change is not None for change in told] == [False, False, True, False, False]
    assert list(told[2].features) == NAMES[:8]


def test_alerts_of_these_features_are_part_of_it_for_some_windows():
    """An alert fires a window or two after its feature began to drift; later ones are news again."""
    changes = CommonChanges(ALPHA, 3)
    changes.observe(window(()))
    changes.observe(window(NAMES[:8]))

    seen = []
    for _ in range(4):
        seen.append((explained(changes, "f0"), explained(changes, "f9")))
        changes.observe(window(NAMES[:8]))

    assert seen == [(True, False), (True, False), (True, False), (False, False)]
    assert not changes.explains(MODEL, FeatureKey(FeatureRole.PREDICTION, "f0"))
    assert not explained(changes, "f0", ModelKey("other"))


def test_one_after_the_other_is_no_common_change():
    """Each began on its own."""
    changes = CommonChanges(ALPHA, 3)

    told = [changes.observe(window(NAMES[:count])) for count in range(len(NAMES) + 1)]

    assert not any(told)


def test_segments_and_outputs_are_left_out():
    """A segment repeats what the whole says; what all features did to a prediction is no cause."""
    changes = CommonChanges(ALPHA, 3)

    assert changes.observe(window(NAMES, segment=Segment("country", "NO"))) is None
    assert changes.observe(window(NAMES, role=FeatureRole.PREDICTION)) is None
