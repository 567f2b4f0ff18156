"""Training data in Parquet and CSV files, read column by column in bounded memory. Needs pyarrow, so imported late."""

from __future__ import annotations

import mmap
import re
import tempfile
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from otel_ml.baseline.arrow import ArrowColumn
from otel_ml.baseline.columns import STEP
from otel_ml.baseline.frames import Table
from otel_ml.errors import BaselineError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PARQUET_BUFFER: Final = 1 << 20
"""Bytes of a column that are read at once; without, a whole row group's worth is."""
_CSV_BLOCK: Final = 32 * 1024 * 1024
"""Bytes of a CSV that are parsed at once; types are guessed from the first so many."""
# On a machine with one core pyarrow reads row by row, and names the row too.
_CONVERSION_ERROR: Final = re.compile(r"CSV column #(\d+):(?: Row #\d+:)? CSV conversion error to (\w+)")
# https://github.com/apache/arrow/issues/35692, mended in pyarrow 26, which Python 3.10 does not get.
_NULL_VECTOR: Final = "Expected all lists to be of size="
_READERS: Final = {".parquet": "parquet", ".pq": "parquet", ".parq": "parquet", ".csv": "csv", ".tsv": "csv"}


@contextmanager
def open_file(path: Path) -> Iterator[Table]:
    """The columns of a Parquet or CSV file (also compressed: .csv.gz), readable until the context ends.

    Raises:
        BaselineError: The file is not there, or is none of these, or is broken.
    """
    with ExitStack() as stack:
        try:
            with path.open("rb") as file:
                magic = file.read(4)
            suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
            reader = next((_READERS[suffix] for suffix in reversed(suffixes) if suffix in _READERS), None)
            if magic == b"PAR1" or reader == "parquet":
                table = _open_parquet(path, stack)
            elif reader == "csv":
                table = _open_csv(path, stack)
            else:
                raise BaselineError(f"{path}: unknown kind of file (expected .parquet, .csv or .csv.gz)")
        except OSError as error:
            raise BaselineError(f"{path}: {error.strerror or error}") from error
        except pa.ArrowInvalid as error:
            raise BaselineError(f"{path}: {_sentence(error)}") from error
        except UnicodeDecodeError as error:
            # Names of columns; Arrow checks values by itself.
            raise BaselineError(f"{path}: a column's name is not UTF-8 text (save the file as UTF-8)") from error
        yield table


def _open_parquet(path: Path, stack: ExitStack) -> Table:
    file = stack.enter_context(pa_parquet.ParquetFile(path, buffer_size=_PARQUET_BUFFER))
    schema = file.schema_arrow
    # Text stays encoded as Parquet keeps it: counting codes is eight times as fast as counting strings.
    texts = [field.name for field in schema if str(field.type) in {"string", "large_string"}]
    if texts:
        file.close()
        file = stack.enter_context(pa_parquet.ParquetFile(path, buffer_size=_PARQUET_BUFFER, read_dictionary=texts))
    columns = [
        (field.name, ArrowColumn(field.type, partial(_parquet_chunks, path, file, field.name))) for field in schema
    ]
    return Table.of(str(path), file.metadata.num_rows, columns)


def _parquet_chunks(path: Path, file: Any, name: str) -> Iterator[Any]:
    try:
        for batch in file.iter_batches(batch_size=STEP, columns=[name]):
            yield batch.column(0)
    except (pa.ArrowException, OSError) as error:
        reason = _sentence(error)
        if reason.startswith(_NULL_VECTOR):
            reason = (
                f"pyarrow {pa.__version__} cannot read null among lists of a fixed size"
                " (pyarrow 26 can; or write lists of any size)"
            )
        raise BaselineError(f"{path}: column {name!r}: {reason}") from error


def _open_csv(path: Path, stack: ExitStack) -> Table:
    """Turns rows into columns on disk, as one pass per column over a CSV would parse it as often."""
    # A file without a name: whatever ends this process, nothing is left of the rows.
    spooled = stack.enter_context(tempfile.TemporaryFile(prefix="otel-ml-"))  # noqa: SIM115 - the stack is one
    schema = _spool_csv(path, spooled)
    # Not closed but let go with the last column, which may outlive the context.
    mapped = mmap.mmap(spooled.fileno(), 0, access=mmap.ACCESS_READ)
    batches = stack.enter_context(pa.ipc.open_file(pa.BufferReader(pa.py_buffer(mapped))))
    rows = sum(batches.get_batch(index).num_rows for index in range(batches.num_record_batches))
    columns = [
        (field.name, ArrowColumn(field.type, partial(_spooled_chunks, batches, index)))
        for index, field in enumerate(schema)
    ]
    return Table.of(str(path), rows, columns)


def _spooled_chunks(batches: Any, column: int) -> Iterator[Any]:
    for index in range(batches.num_record_batches):
        yield batches.get_batch(index).column(column)


def _spool_csv(path: Path, spooled: IO[bytes]) -> Any:
    """Writes the columns in Arrow's file format and returns their schema.

    Types are guessed from the start of the file. Where a later value does not fit, the column becomes double, or text
    if that does not fit either, and reading starts again.
    """
    types: dict[str, Any] = {}
    while True:
        reader = _csv_reader(path, types)
        schema = reader.schema
        empty = {field.name: pa.float64() for field in schema if pa.types.is_null(field.type)}
        if empty:
            types |= empty
            continue
        try:
            spooled.seek(0)
            spooled.truncate()
            with pa.ipc.new_file(spooled, schema) as writer:
                for batch in reader:
                    writer.write_batch(batch)
            spooled.flush()
        except pa.ArrowInvalid as error:
            misfit = _CONVERSION_ERROR.search(str(error))
            if misfit is None:
                raise
            field = schema.field(int(misfit.group(1)))
            if types.get(field.name) == pa.string():
                raise
            types[field.name] = pa.float64() if pa.types.is_integer(field.type) else pa.string()
        else:
            return schema


def _csv_reader(path: Path, types: dict[str, Any]) -> Any:
    delimiter = "\t" if ".tsv" in path.suffixes else ","
    return pa_csv.open_csv(
        path,
        read_options=pa_csv.ReadOptions(block_size=_CSV_BLOCK),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        # As pandas reads it: NA, null, nan and nothing are missing in text as well.
        convert_options=pa_csv.ConvertOptions(strings_can_be_null=True, column_types=types),
    )


def _sentence(error: BaseException) -> str:
    return str(error).splitlines()[0]
