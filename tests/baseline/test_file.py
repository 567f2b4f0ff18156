import os
import stat
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_ml.baseline import Baseline
from otel_ml.baseline.file import write_content
from otel_ml.baseline.message import content_id, to_bytes
from otel_ml.errors import BaselineError
from otel_ml.proto import baseline_pb2 as pb

columns = st.one_of(
    st.lists(st.floats() | st.none(), min_size=5, max_size=5),
    st.lists(st.integers() | st.none(), min_size=5, max_size=5),
    st.lists(st.booleans() | st.none(), min_size=5, max_size=5),
    st.lists(st.text() | st.none(), min_size=5, max_size=5),
    st.lists(st.datetimes() | st.none(), min_size=5, max_size=5),
    st.lists(st.tuples(*[st.integers(-9, 9)] * 3) | st.none(), min_size=5, max_size=5),
    st.lists(st.text(st.sampled_from("ab \n"), min_size=12) | st.none(), min_size=5, max_size=5),
    st.lists(st.floats(-1e3, 1e3), min_size=5, max_size=5).map(lambda values: (values * 300)[:5]),
)


@pytest.fixture
def built():
    random = np.random.default_rng(3)
    data = {
        "amount": random.lognormal(size=2_000),
        "age": random.integers(0, 100, 2_000),
        "country": random.choice(["NZ", "DE"], 2_000).tolist(),
        "member": random.random(2_000) < 0.5,
        "when": np.zeros(2_000, dtype="M8[s]"),
    }
    return Baseline.build(data, model="fraud", version="3", predictions=random.random(2_000))


@pytest.fixture
def saved(built, tmp_path):
    path = tmp_path / "fraud.baseline"
    built.save(path)
    return path


def refused(path):
    with pytest.raises(BaselineError) as caught:
        Baseline.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def resealed(path, change):
    """The file with its message changed, and a checksum that fits."""
    from otel_ml.baseline.file import _PREFIX, FORMAT_VERSION, MAGIC, _digest

    message = pb.Baseline.FromString(path.read_bytes()[_PREFIX.size + 32 :])
    change(message)
    payload = message.SerializeToString()
    prefix = _PREFIX.pack(MAGIC, FORMAT_VERSION, len(payload))
    path.write_bytes(prefix + _digest(prefix, payload) + payload)
    return path


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(min_size=1, max_size=20), columns, min_size=1, max_size=6))
def test_a_baseline_survives_its_file(tmp_path_factory, data):
    """What is loaded is what was saved, whatever the data were."""
    path = tmp_path_factory.mktemp("round") / "any.baseline"
    built = Baseline.build(data, model="m", version="1")
    built.save(path)

    loaded = Baseline.load(path)

    assert loaded == built
    assert to_bytes(loaded) == to_bytes(built)
    assert list(loaded.features) == list(built.features)
    assert loaded.layouts == built.layouts
    assert content_id(loaded) == content_id(built)


def test_a_loaded_baseline_knows_everything(built, saved):
    """Kinds, bins, exact counts, histogram, quantiles and categories come back."""
    loaded = Baseline.load(str(saved))
    amount, age = loaded.feature("amount").content, loaded.feature("age").content

    assert (loaded.model, loaded.rows, loaded.created_unix_nano) == (built.model, 2_000, built.created_unix_nano)
    assert amount.bins[loaded.layout(loaded.feature("amount").key).hash].count == 2_000
    assert amount.exact is None
    assert amount.histogram.count == amount.quantiles.count == age.exact.count == 2_000
    assert loaded.feature("country").content.categories.count == 2_000
    assert [summary.kind for summary in loaded.features.values()] == [s.kind for s in built.features.values()]


def test_saving_a_loaded_baseline_keeps_its_id(saved, tmp_path):
    """A copy is the same baseline."""
    loaded = Baseline.load(saved)
    loaded.save(tmp_path / "copy.baseline")

    assert Baseline.load(tmp_path / "copy.baseline").id == loaded.id


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_damaged_file_is_refused(tmp_path_factory, data):
    """A single bit that flipped anywhere, or bytes that got lost, are found."""
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / "damaged.baseline"
    Baseline.build({"x": [1.0, 2.0, 3.0], "y": ["a", "b", "b"]}, model="m").save(path)
    contents = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        position = data.draw(st.integers(0, len(contents) - 1))
        contents[position] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del contents[data.draw(st.integers(0, len(contents) - 1)) :]
    path.write_bytes(contents)

    assert refused(path)


def test_a_file_says_what_is_wrong_with_it(saved, tmp_path):
    """Each way of being no baseline has its own sentence, with what was expected."""
    contents = saved.read_bytes()
    size = len(contents)

    def written(other):
        saved.write_bytes(other)
        return saved

    assert refused(tmp_path / "none.baseline") == "No such file or directory (expected a baseline file)"
    assert refused(tmp_path) == "is a directory (expected a baseline file)"
    assert refused(written(b"")) == "is empty (expected a baseline file)"
    assert refused(written(b"PAR1" + contents)).startswith("is no baseline file (it looks like Parquet")
    assert refused(written(b"hello, world")).startswith("is no baseline file (it starts with b'hello, w'")
    assert refused(written(contents[:30])) == "cut off after 30 bytes (expected at least 52)"
    assert refused(written(contents[:-1])) == f"cut off after {size - 1} bytes (expected {size})"
    assert refused(written(contents + b"\n")) == f"1 bytes too many (expected {size})"
    assert refused(written(contents[:-1] + b"\xff")).startswith("damaged (its checksum does not match)")
    newer = contents[:8] + struct.pack("<I", 2) + contents[12:]
    assert refused(written(newer)) == "format version 2 (this otel-ml reads 1); a newer otel-ml wrote it, upgrade"
    text = contents.replace(b"\r\n", b"\n")
    assert refused(written(text)).startswith("is no baseline file")


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_of_someone_else_is_refused(saved):
    """No permission is said as such."""
    saved.chmod(0)

    assert refused(saved).startswith("Permission denied")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.ClearField("model_name"), "has no model name"),
        (lambda m: m.ClearField("id"), "has no id"),
        (lambda m: m.features.append(m.features[0]), "features[6] 'amount': is there already"),
        (lambda m: setattr(m, "rows", 7), "features[0] 'amount': counters: of 2000 rows, where the baseline has 7"),
        (lambda m: m.features[0].edges.reverse(), "features[0] 'amount': edges: not finite and strictly increasing"),
        (lambda m: m.features[0].edges.append(float("nan")), "features[0] 'amount'"),
        (lambda m: m.features[0].bin_counts.append(1), "features[0] 'amount'"),
        (lambda m: m.features[0].bin_counts.__setitem__(1, 1 << 62), "features[0] 'amount': bins: of"),
        (lambda m: m.features[0].ClearField("edges"), "features[0] 'amount'"),
        (lambda m: m.features[0].edges.extend(range(1_000, 1_200)), "features[0] 'amount'"),
        (lambda m: setattr(m.features[0].summary, "kll_floats", b"x" * 100), "features[0] 'amount': KLL image"),
        (lambda m: m.features[1].exact.counts.__setitem__(0, 1), "features[1] 'age': exact: of"),
        (lambda m: m.features[2].edges.append(1.0), "which do not belong to categorical columns"),
        (lambda m: setattr(m.features[2].summary, "kind", 9), "features[2] 'country'"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(saved, change, message):
    """A checksum only says that nobody changed the file since; what it says must agree as well."""
    assert message in refused(resealed(saved, change))


def test_unknown_fields_are_ignored(saved):
    """A later version may add fields without a new format version."""
    with_more = saved.read_bytes()
    loaded = Baseline.load(resealed(saved, lambda message: message.MergeFromString(b"\xfa\x06\x01x")))

    assert len(saved.read_bytes()) == len(with_more) + 4
    assert loaded.rows == 2_000


def test_saving_leaves_nothing_else_behind(built, tmp_path):
    """The old file is replaced whole, with the permissions that a new file would get."""
    path = tmp_path / "b.baseline"
    path.write_text("old")
    mask = os.umask(0o022)
    try:
        built.save(path)
    finally:
        os.umask(mask)

    assert [entry.name for entry in tmp_path.iterdir()] == ["b.baseline"]
    assert Baseline.load(path) == built
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_what_cannot_be_written_is_said(built, tmp_path):
    """A folder that is not there, or a folder in the file's place, is named."""
    with pytest.raises(BaselineError, match="cannot be written: No such file or directory"):
        built.save(tmp_path / "none" / "b.baseline")
    with pytest.raises(BaselineError, match="cannot be written: is a directory"):
        built.save(tmp_path)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_nothing_but_a_file_is_replaced(tmp_path):
    """Root would take `/dev/null` away from the whole machine."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    with pytest.raises(BaselineError, match="pipe: cannot be written: is no regular file"):
        write_content(b"content", pipe)

    assert pipe.is_fifo()
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(not os.access("/proc/self/fd", os.F_OK), reason="needs /proc")
def test_a_link_to_a_stream_stays_one(tmp_path):
    """As /dev/stdout is, also where a shell has led it to a file."""
    link = tmp_path / "stdout"
    with (tmp_path / "file").open("w") as file:
        link.symlink_to(f"/proc/self/fd/{file.fileno()}")

        with pytest.raises(BaselineError, match="stdout: cannot be written: is no regular file"):
            write_content(b"content", link)

    assert link.is_symlink()
