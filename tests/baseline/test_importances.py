import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from otel_ml.baseline import Baseline
from otel_ml.baseline.message import from_bytes, to_bytes
from otel_ml.errors import BaselineError
from otel_ml.proto import baseline_pb2 as pb

RANDOM = np.random.default_rng(5)
DATA = {
    "amount": RANDOM.lognormal(size=400),
    "age": RANDOM.integers(18, 90, 400).astype(float),
    "member": RANDOM.random(400) < 0.25,
    "country": RANDOM.choice(["NZ", "DE"], 400).tolist(),
}
NUMBERS = pd.DataFrame({"amount": DATA["amount"], "age": DATA["age"]})


def build(importances, data=DATA, **options):
    return Baseline.build(data, model="m", importances=importances, **options)


def refused(importances, data=DATA):
    with pytest.raises(BaselineError) as caught:
        build(importances, data)
    return str(caught.value).partition(": importances: ")[2]


def test_a_mapping_is_kept_in_the_order_of_the_features():
    """Weights are kept as they are given; a feature that is not named has none."""
    built = build({"country": 3, "amount": np.float32(0.5), "age": 0})

    assert list(built.importances.items()) == [("amount", 0.5), ("age", 0.0), ("country", 3.0)]


def test_a_sequence_is_in_the_order_of_the_features():
    """Lists, tuples, arrays and series without names count from the first feature on."""
    expected = dict(zip(DATA, [0.1, 0.2, 0.3, 0.4], strict=True))

    assert build([0.1, 0.2, 0.3, 0.4]).importances == expected
    assert build(np.array([0.1, 0.2, 0.3, 0.4])).importances == expected
    assert build(pd.Series([0.4, 0.1, 0.2, 0.3], index=["country", "amount", "age", "member"])).importances == expected


def test_outputs_have_no_importance():
    """A sequence is of the features; predictions and scores are not among them."""
    built = build([1, 2, 3], predictions="country")

    assert built.importances == {"amount": 1.0, "age": 2.0, "member": 3.0}


def test_of_a_fitted_forest_its_importances_are_taken():
    """By the names it was fitted with, in whichever order."""
    labels = DATA["age"] > 50
    forest = RandomForestClassifier(5, random_state=1).fit(NUMBERS[["age", "amount"]], labels)

    built = build(forest, NUMBERS)

    assert built.importances == {
        "age": forest.feature_importances_[0],
        "amount": forest.feature_importances_[1],
    }


def test_a_coefficient_counts_by_what_its_feature_varies():
    """|coef| times the standard deviation: the same whichever unit the feature is in."""
    labels = 2 * DATA["amount"] - 0.1 * DATA["age"] + 5 * DATA["member"]
    frame = NUMBERS.assign(member=DATA["member"])
    in_cents = frame.assign(amount=100 * frame["amount"])

    built = build(LinearRegression().fit(frame, labels), frame)
    rebuilt = build(LinearRegression().fit(in_cents, labels), in_cents)

    share = DATA["member"].mean()
    assert built.importances["amount"] == pytest.approx(2 * DATA["amount"].std(ddof=1))
    assert built.importances["age"] == pytest.approx(0.1 * DATA["age"].std(ddof=1))
    assert built.importances["member"] == pytest.approx(5 * np.sqrt(share * (1 - share)))
    assert rebuilt.importances == pytest.approx(built.importances)


def test_of_several_classes_the_mean_coefficient_counts():
    """One row of coefficients a class makes one weight a feature."""
    model = LogisticRegression(max_iter=1000).fit(NUMBERS.to_numpy(), np.digitize(DATA["age"], [40, 65]))

    built = build(model, NUMBERS)

    assert model.coef_.shape == (3, 2)
    assert built.importances["age"] == pytest.approx(np.abs(model.coef_).mean(axis=0)[1] * DATA["age"].std(ddof=1))


def test_the_id_changes_only_with_importances():
    """Who says nothing of importances gets the baseline that there always was."""
    plain, weighted = build(None), build([1, 2, 3, 4])

    assert plain.importances == {}
    assert plain.id == Baseline.build(DATA, model="m").id
    assert weighted.id == build(dict(zip(DATA, [1, 2, 3, 4], strict=True))).id
    assert len({plain.id, weighted.id, build([1, 2, 3, 5]).id}) == 3


@settings(max_examples=60, deadline=None)
@given(
    st.dictionaries(st.sampled_from(list(DATA)), st.floats(0, allow_infinity=False)).filter(lambda w: any(w.values()))
)
def test_importances_survive_the_message(weights):
    """What is read is what was written, in the order of the features."""
    built = build(weights, {name: values[:3] for name, values in DATA.items()})

    again = from_bytes(to_bytes(built), "again")

    assert again.importances == weights
    assert list(again.importances) == [name for name in DATA if name in weights]
    assert to_bytes(again) == to_bytes(built)


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf"), None, "1", True, 10**400])
def test_what_is_no_weight_is_refused_by_name(weight):
    """The error names the feature, what it was and what would be valid."""
    message = refused({"amount": 1.0, "age": weight})

    assert message.endswith("for feature 'age' (must be a finite number of at least 0)")


def test_bad_importances_say_what_would_be_valid():
    """Each way of being none has its own sentence."""
    forest = RandomForestClassifier(2).fit(NUMBERS, DATA["member"])
    linear = LinearRegression().fit(np.zeros((4, 4)), np.zeros(4))

    assert refused({"amonut": 1}) == (
        "feature 'amonut' does not exist (features: amount, age, member, country); did you mean 'amount'?"
    )
    assert refused([1, 2]) == "2 weights for 4 features (amount, age, member, country)"
    assert refused([0, 0, 0, 0]) == refused({}) == "none is above 0 (at least one must be)"
    assert refused("amount").startswith("str 'amount' says nothing of them (a mapping from feature to weight,")
    assert refused(LinearRegression()).startswith("LinearRegression LinearRegression() says nothing of them")
    assert refused(np.ones((2, 2)), NUMBERS).endswith("(must be a finite number of at least 0)")
    assert refused(forest, {"age": DATA["age"]}).startswith("feature 'amount' does not exist (features: age)")
    assert refused(linear).startswith(
        "LinearRegression.coef_: feature 'country' is categorical, and a coefficient needs"
    )


@pytest.mark.parametrize(("name", "weight"), [("salary", 1.0), ("amount", -1.0), ("amount", float("nan"))])
def test_a_file_with_importances_that_cannot_be_is_refused(name, weight):
    """Weights of a strange file are checked like those of a caller."""
    message = pb.Baseline.FromString(to_bytes(build([1, 2, 3, 4])))
    message.importances[name] = weight

    with pytest.raises(BaselineError, match=rf"^f\.baseline: importances: .*{name}"):
        from_bytes(message.SerializeToString(), "f.baseline")
