"""The baseline file: a header that tells a damaged file from a strange one, then the message.

docs/baseline-format.md is the specification.
"""

from __future__ import annotations

import hashlib
import io
import os
import struct
import tempfile
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote

from otel_ml.baseline.message import from_bytes, to_bytes
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from otel_ml.baseline.baseline import Baseline

FORMAT_VERSION: Final = 1
SUFFIX: Final = ".baseline"
"""Of files in a folder of baselines."""
# As in PNG: the first byte is no text, and a transfer that changes line ends changes the magic.
MAGIC: Final = b"\x89OTML\r\n\n"

_LONGEST_NAME: Final = 200
_PREFIX: Final = struct.Struct("<8sIQ")
"""Magic, format version, length of the message."""
_DIGEST: Final = hashlib.sha256().digest_size


def load_baseline(path: str | PathLike[str]) -> Baseline:
    """The baseline in a file.

    Raises:
        BaselineError: The file is no intact baseline.
    """
    source = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            return _read(source, file, os.fstat(file.fileno()).st_size)
    except IsADirectoryError as error:
        raise BaselineError(f"{source}: is a directory (expected a baseline file)") from error
    except OSError as error:
        raise BaselineError(f"{source}: {error.strerror or error} (expected a baseline file)") from error


def baseline_of(content: bytes, source: str) -> Baseline:
    """The baseline in the content of a file.

    Args:
        source: What to call it where it is none.

    Raises:
        BaselineError: It is no intact baseline.
    """
    return _read(source, io.BytesIO(content), len(content))


def save_baseline(baseline: Baseline, path: str | PathLike[str]) -> None:
    """Write a baseline; whoever reads the file meanwhile sees the old one or the new one, whole.

    Raises:
        BaselineError: The file cannot be written.
    """
    payload = to_bytes(baseline)
    prefix = _PREFIX.pack(MAGIC, FORMAT_VERSION, len(payload))
    write_content(prefix + _digest(prefix, payload) + payload, path)


def write_content(content: bytes, path: str | PathLike[str]) -> None:
    """Put a file in the place of another, whole; it is on disk once this returns.

    Raises:
        BaselineError: It cannot be written.
    """
    target = Path(path)
    try:
        if target.is_dir():
            raise IsADirectoryError(None, "is a directory")
        descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        temporary = Path(name)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
                file.write(content)
                file.flush()
                os.fsync(descriptor)
            # A temporary file is its owner's alone; a baseline is read by servers that run as someone else.
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(target)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise BaselineError(f"{target}: cannot be written: {error.strerror or error}") from error


def file_name(model: ModelKey) -> str:
    """What the file of a model's baseline is called in a folder: the same for the same model, whatever its name."""
    # No part has an "@" then, so that no two models have the same.
    name = "@".join(quote(part, safe="") for part in model if part)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"{name}{SUFFIX}"


def _read(source: str, file: BinaryIO, size: int) -> Baseline:
    header = file.read(_PREFIX.size + _DIGEST)
    payload = file.read(_check_header(source, header, size))
    if _digest(header[: _PREFIX.size], payload) != header[_PREFIX.size :]:
        raise BaselineError(f"{source}: damaged (its checksum does not match); copy or build it anew")
    return from_bytes(payload, source)


def _check_header(source: str, header: bytes, size: int) -> int:
    """The length of the message that should follow."""
    if not header:
        raise BaselineError(f"{source}: is empty (expected a baseline file)")
    if not header.startswith(MAGIC[: len(header)]):
        raise BaselineError(f"{source}: is no baseline file ({_looks_like(header)})")
    if len(header) < _PREFIX.size + _DIGEST:
        raise BaselineError(f"{source}: cut off after {size} bytes (expected at least {_PREFIX.size + _DIGEST})")
    _, version, length = _PREFIX.unpack_from(header)
    expected = _PREFIX.size + _DIGEST + length
    if version != FORMAT_VERSION:
        hint = "; a newer otel-ml wrote it, upgrade" if version > FORMAT_VERSION else ""
        raise BaselineError(f"{source}: format version {version} (this otel-ml reads {FORMAT_VERSION}){hint}")
    if size < expected:
        raise BaselineError(f"{source}: cut off after {size} bytes (expected {expected})")
    if size > expected:
        raise BaselineError(f"{source}: {size - expected} bytes too many (expected {expected})")
    return int(length)


def _looks_like(header: bytes) -> str:
    if header.startswith(b"PAR1"):
        return "it looks like Parquet: build a baseline from it first"
    return f"it starts with {header[:8]!r}, a baseline starts with {MAGIC!r}"


def _digest(prefix: bytes, payload: bytes) -> bytes:
    return hashlib.sha256(prefix + payload).digest()


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
