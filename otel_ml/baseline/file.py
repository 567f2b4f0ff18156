"""The baseline file: a header that tells a damaged file from a strange one, then the message.

docs/baseline-format.md is the specification.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import struct
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote

from otel_ml.baseline.message import from_bytes, to_bytes
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import ModelKey
from otel_ml.whole_file import umask

if TYPE_CHECKING:
    from otel_ml.baseline.baseline import Baseline

FORMAT_VERSION: Final = 1
SUFFIX: Final = ".baseline"
"""Of files in a folder of baselines."""
# As in PNG: the first byte is no text, and a transfer that changes line ends changes the magic.
MAGIC: Final = b"\x89OTML\r\n\n"

_UNFINISHED: Final = ".tmp"
_LONGEST_NAME: Final = 200
_PREFIX: Final = struct.Struct("<8sIQ")
"""Magic, format version, length of the message."""
_DIGEST: Final = hashlib.sha256().digest_size
# Folders of some file systems cannot be synchronised, and some cannot even be opened: PostgreSQL lets these pass, too
# (fsync_fname_ext).
_UNSYNCED: Final = frozenset({errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES})


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
    try:
        write_contents([(content, Path(path))])
    except OSError as error:
        raise BaselineError(f"{Path(path)}: cannot be written: {error.strerror or error}") from error


def write_contents(files: Iterable[tuple[bytes, Path]]) -> None:
    """Put files in the places of others, each of them whole; they are on disk once this returns.

    No place changes before all of them are written, so that a disk without room for all changes none.

    Raises:
        OSError: As the system says. Doing the same again does what is missing.
    """
    written: list[tuple[Path, Path]] = []
    try:
        for content, target in files:
            written.append((_written_beside(target, content), target))
        folders = dict.fromkeys(target.parent for _, target in written)
        while written:
            temporary, target = written[0]
            temporary.replace(target)
            del written[0]
    finally:
        for temporary, _ in written:
            with suppress(OSError):
                temporary.unlink()
    for folder in folders:
        _sync_folder(folder)


def half_written(folder: Path) -> Iterable[Path]:
    """Files that are being written in a folder, or were when their process was killed; nothing reads them."""
    return folder.glob(f".*{SUFFIX}.*{_UNFINISHED}")


def file_name(model: ModelKey) -> str:
    """What the file of a model's baseline is called in a folder: the same for the same model, whatever its name."""
    # No part has an "@" then, so that no two models have the same.
    name = "@".join(quote(part, safe="") for part in model if part)
    if name.startswith("."):
        # Hidden files are those that are being written. No other name has these characters: "%" is quoted.
        name = f"%2E{name[1:]}"
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}{hashlib.sha256(name.encode()).hexdigest()[:16]}"
    return f"{name}{SUFFIX}"


def _written_beside(target: Path, content: bytes) -> Path:
    """A hidden file with this content, on disk, where it can take the place of another."""
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, "is a directory")
    is_stream = target.is_symlink() and target.readlink().parts[:2] == ("/", "proc")
    if is_stream or (target.exists() and not target.is_file()):
        # To replace one is to remove it: root would take /dev/null or /dev/stdout away from the whole machine.
        raise OSError(errno.EINVAL, "is no regular file")
    descriptor, name = tempfile.mkstemp(_UNFINISHED, f".{target.name}.", target.parent)
    temporary = Path(name)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor has no path
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        # A temporary file is its owner's alone; a baseline is read by servers that run as someone else.
        temporary.chmod(0o666 & ~umask())
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    return temporary


def _sync_folder(folder: Path) -> None:
    """Make names in a folder last; Windows does by itself, and opens none."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        if error.errno not in _UNSYNCED:
            raise


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
