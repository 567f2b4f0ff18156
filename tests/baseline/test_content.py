"""Baselines as bytes, and what their files are called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.baseline.file import baseline_of, file_name, write_content
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import ModelKey

NAMES = st.text(st.characters(codec="utf-8"), max_size=300)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "fraud.baseline"
    Baseline.build({"amount": [1.0, 2.0, 3.0]}, model="fraud", version="3").save(path)
    return path


def test_the_content_of_a_file_is_the_baseline_in_it(file, tmp_path):
    """Wherever it was in between."""
    found = baseline_of(file.read_bytes(), "what was sent")
    write_content(file.read_bytes(), tmp_path / "again.baseline")

    assert found == Baseline.load(file) == Baseline.load(tmp_path / "again.baseline")


@pytest.mark.parametrize(
    ("harm", "problem"),
    [
        (lambda content: b"", "what was sent: is empty"),
        (lambda content: content[:-1], "what was sent: cut off after"),
        (lambda content: content + b"\0", "what was sent: 1 bytes too many"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "what was sent: damaged"),
        (lambda content: b"PAR1" + content, "what was sent: is no baseline file"),
    ],
)
def test_content_that_was_harmed_is_refused(file, harm, problem):
    """With what is wrong, and no file's name."""
    with pytest.raises(BaselineError, match=problem):
        baseline_of(harm(file.read_bytes()), "what was sent")


@given(left=st.tuples(NAMES, NAMES), right=st.tuples(NAMES, NAMES))
def test_no_two_models_have_the_same_file(left, right):
    """And none has a file that leads elsewhere, or has too long a name."""
    names = {file_name(ModelKey(*model)) for model in (left, right)}

    assert len(names) == len({left, right}) or left[0] + left[1] == right[0] + right[1]
    assert all("/" not in name and len(name.encode()) <= 255 and name.endswith(".baseline") for name in names)
