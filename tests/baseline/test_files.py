import os
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from otel_ml.baseline import Baseline, files
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureKind


def build(path, **settings):
    return Baseline.build(path, model="m", **settings)


def refused(path):
    with pytest.raises(BaselineError) as caught:
        build(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_parquet_is_read_by_what_it_holds(tmp_path):
    """A Parquet file is known by its first bytes, whatever it is called."""
    pa.parquet.write_table(pa.table({"x": [1, 2]}), tmp_path / "train")

    assert build(tmp_path / "train").rows == 2


def test_every_type_of_parquet_has_a_kind(tmp_path):
    """Numbers, decimals, text, codes, points in time and lists of numbers are read; structures are counted."""
    table = pa.table(
        {
            "i": pa.array([1, None, 3], pa.int16()),
            "d": pa.array([1, None, 3], pa.float64()).cast(pa.decimal128(9, 2)),
            "s": pa.array(["a", None, "b"], pa.large_string()),
            "c": pa.array(["a", None, "b"]).dictionary_encode(),
            "b": pa.array([True, None, False]),
            "t": pa.array([0, None, 2], pa.timestamp("us")),
            "l": pa.array([[1], None, [2, 3]]),
            "z": pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float32(), 2)),
            "n": pa.array([{"k": 1}, None, {"k": 2}]),
            "o": pa.nulls(3),
        }
    )
    pa.parquet.write_table(table, tmp_path / "types.parquet")

    built = build(tmp_path / "types.parquet")

    numeric, opaque = FeatureKind.NUMERIC, FeatureKind.OPAQUE
    text, boolean = FeatureKind.CATEGORICAL, FeatureKind.BOOLEAN
    moment, vector = FeatureKind.DATETIME, FeatureKind.EMBEDDING
    assert [s.kind for s in built.features.values()] == [
        numeric, numeric, text, text, boolean, moment, vector, vector, opaque, opaque,
    ]  # fmt: skip
    assert [s.counters.missing for s in built.features.values()] == [1] * 7 + [0, 1, 3]
    assert [s.counters.mismatched for s in built.features.values()] == [0] * 6 + [1] + [0] * 3
    assert built.feature("d").content.moments.mean == 2.0


def test_vectors_of_a_fixed_size_may_be_missing(tmp_path):
    """Where pyarrow can read them; where it cannot, somebody is told what can be done."""
    path = tmp_path / "vectors.parquet"
    vectors = pa.array([[1.0, 2.0], None, [3.0, 4.0]], pa.list_(pa.float32(), 2))
    pa.parquet.write_table(pa.table({"z": vectors}), path)

    if int(pa.__version__.partition(".")[0]) < 26:
        assert refused(path) == (
            f"column 'z': pyarrow {pa.__version__} cannot read null among lists of a fixed size"
            " (pyarrow 26 can; or write lists of any size)"
        )
    else:
        built = build(path).feature("z")
        assert (built.kind, built.counters.missing, built.content.count) == (FeatureKind.EMBEDDING, 1, 2)


def test_parquet_columns_may_have_odd_names(tmp_path):
    """Dots in a name are not a path, and names may be anything else."""
    table = pa.table({"a.b": [1.0], "": [2.0], "ä b": [3.0]})
    pa.parquet.write_table(table, tmp_path / "odd.parquet")

    built = build(tmp_path / "odd.parquet")

    assert [key.name for key in built.features] == ["a.b", "", "ä b"]
    assert [s.content.moments.mean for s in built.features.values()] == [1.0, 2.0, 3.0]


def test_many_distinct_strings_are_summed_across_chunks(tmp_path, monkeypatch):
    """Counts stay exact where distinct values are merged more than once on the way."""
    monkeypatch.setattr("otel_ml.baseline.arrow._MANY", 50)
    random = np.random.default_rng(1)
    names = [f"n{value}" for value in random.integers(0, 120, 5_000)]
    pa.parquet.write_table(pa.table({"x": names}), tmp_path / "x.parquet", row_group_size=300)

    built = build(tmp_path / "x.parquet")

    assert built.feature("x").content.categories.counts == {name: names.count(name) for name in set(names)}


def test_csv_types_may_show_late(tmp_path, monkeypatch):
    """Types are guessed from the start of a file; a column that turns out otherwise is read again as what it is."""
    monkeypatch.setattr(files, "_CSV_BLOCK", 256)
    lines = ["whole,empty,flag,text"] + ["1,,true,2020-01-01"] * 200 + ["2.5,7,maybe,never"]
    path = written(tmp_path / "late.csv", "\n".join(lines) + "\n")

    built = build(path)

    assert built.rows == 201
    assert built.feature("whole").content.moments.maximum == 2.5
    assert built.feature("empty").counters.missing == 200
    assert built.feature("empty").content.moments.mean == 7.0
    assert built.feature("flag").content.categories.counts == {"true": 200, "maybe": 1}
    assert built.feature("text").content.categories.counts == {"2020-01-01": 200, "never": 1}


def test_csv_gaps_are_missing_in_text_too(tmp_path):
    """As in pandas, an empty field, NA and null are gaps in any column."""
    built = build(written(tmp_path / "gaps.csv", 'n,s\n1,a\n,\nNA,NA\nnull,"b, c"\n'))

    assert built.feature("n").counters.missing == 3
    assert built.feature("s").counters.missing == 2
    assert built.feature("s").content.categories.counts == {"a": 1, "b, c": 1}


def test_csv_fields_may_span_lines(tmp_path):
    """A quoted field may hold the end of a line."""
    assert build(written(tmp_path / "lines.csv", 'n,s\n1,"a\nb"\n2,c\n')).rows == 2


def test_tabs_separate_tsv(tmp_path):
    """The name of a file tells its separator."""
    assert list(build(written(tmp_path / "t.tsv", "a\tb\n1\t2\n")).features)[1].name == "b"


def test_nothing_stays_in_the_temporary_folder(tmp_path, monkeypatch):
    """A CSV is turned into columns on disk, and they are gone afterwards."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = written(tmp_path / "x.csv", "a\n1\n")

    build(path)

    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGKILL"])
def test_whatever_ends_the_process_leaves_no_rows_behind(tmp_path, name):
    """Training data are nobody else's business: not even a name of theirs is in the temporary folder."""
    path = written(tmp_path / "x.csv", "a\n1\n")
    (tmp_path / "temporary").mkdir()
    script = (
        "import os, signal, sys; from pathlib import Path; from otel_ml.baseline.files import open_file\n"
        "with open_file(Path(sys.argv[1])): os.kill(os.getpid(), signal.Signals[sys.argv[2]])"
    )

    ended = subprocess.run(
        [sys.executable, "-c", script, path, name], env={**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    )

    assert ended.returncode == -signal.Signals[name]
    assert list((tmp_path / "temporary").iterdir()) == []


def test_files_that_cannot_be_read_say_why(tmp_path):
    """Absent, a folder, empty, broken, of an unknown kind: each has its own sentence."""
    broken = tmp_path / "broken.parquet"
    pa.parquet.write_table(pa.table({"x": list(range(1_000))}), broken)
    broken.write_bytes(broken.read_bytes()[:-20])

    assert refused(tmp_path / "none.csv") == "No such file or directory"
    assert refused(tmp_path) == "Is a directory"
    assert refused(broken).startswith("Parquet magic bytes not found")
    assert refused(written(tmp_path / "x.xlsx", "PK")) == "unknown kind of file (expected .parquet, .csv or .csv.gz)"
    assert refused(written(tmp_path / "e.csv", "")) == "Empty CSV file"
    assert refused(written(tmp_path / "h.csv", "a,b\n")) == "has no rows (a baseline needs at least one)"
    # With one core, pyarrow names the row as well.
    ragged = refused(written(tmp_path / "r.csv", "a,b\n1\n")).replace("Row #2: ", "")
    assert ragged.startswith("CSV parse error: Expected 2 columns, got 1")
    assert refused(written(tmp_path / "d.csv", "a,a\n1,2\n")) == "two columns are called 'a'"


def test_a_page_that_is_broken_names_its_column(tmp_path):
    """Damage inside a Parquet file shows only when the column is read."""
    path = tmp_path / "page.parquet"
    table = pa.table({"a": np.arange(5_000.0), "b": np.random.default_rng(0).random(5_000)})
    pa.parquet.write_table(table, path, use_dictionary=False, compression="zstd")
    damaged = bytearray(path.read_bytes())
    start = pa.parquet.ParquetFile(path).metadata.row_group(0).column(1).data_page_offset
    damaged[start + 60 : start + 4_060] = b"\xff" * 4_000
    path.write_bytes(damaged)

    assert refused(path).startswith("column 'b': ")


def test_without_pyarrow_files_say_what_to_install(tmp_path):
    """Reading files needs an extra of the distribution, and the message says which."""
    path = written(tmp_path / "x.csv", "a\n1\n")
    script = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from otel_ml.baseline import Baseline; from otel_ml.errors import BaselineError\n"
        "assert Baseline.build({'a': [1, 2], 'b': ['x', 'y']}, model='m').rows == 2\n"
        f"try: Baseline.build({str(path)!r}, model='m')\n"
        "except BaselineError as error: print(error)"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == f"{path}: reading files needs pyarrow: pip install 'otel-ml[parquet]'\n"


def test_building_from_plain_data_imports_no_frame_library():
    """Containers are known by their looks."""
    script = (
        "import sys; import numpy as np; from otel_ml.baseline import Baseline\n"
        "Baseline.build({'a': np.arange(3.0), 'b': ['x', 'y', 'z']}, model='m')\n"
        "print([name for name in ('pandas', 'polars', 'pyarrow', 'narwhals') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_column_whose_name_is_no_text_is_told(tmp_path):
    """Spreadsheets save CSV in encodings of their own."""
    path = tmp_path / "latin.csv"
    path.write_bytes("größe,b\n1,2\n".encode("latin-1"))

    with pytest.raises(BaselineError, match=r"latin\.csv: a column's name is not UTF-8 text"):
        Baseline.build(path, model="m")
