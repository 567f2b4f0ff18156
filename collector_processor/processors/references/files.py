"""The files that baselines come from, looked at again and again: a new model needs no restart."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, NamedTuple

from otel_ml.baseline import Baseline
from otel_ml.baseline.file import SUFFIX, baseline_of, file_name, half_written, write_contents
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import ModelKey

# No write takes that long: whoever began it is gone.
_ABANDONED_S: Final = 3600.0


class Signature(NamedTuple):
    """Changes whenever a file does."""

    modified_ns: int
    size: int
    inode: int


@dataclass(frozen=True, slots=True)
class Found:
    """What is in a file.

    Attributes:
        baseline: None where it is none.
        problem: Why it is none.
    """

    signature: Signature | None
    baseline: Baseline | None = None
    problem: str = ""


class Kept(NamedTuple):
    """What became of contents that somebody sent.

    Attributes:
        baselines: Those that are in the inbox now.
        problems: Of each of the others, why it can never be.
    """

    baselines: Sequence[Baseline]
    problems: Sequence[str]


@dataclass(slots=True)
class BaselineFiles:
    """Files, and folders of files, each with a baseline.

    Args:
        paths: Of folders, everything that ends in ".baseline" counts.
        inbox: Folder in which those are kept that somebody sends; one of the folders, too.
    """

    paths: Sequence[str]
    inbox: str | None = None
    _found: dict[Path, Found] = field(default_factory=dict)

    def look(self) -> bool:
        """Read what is new or has changed; whether anything has."""
        before = self._found
        files = [*self._files()]
        self._found = {path: _read(path, before.get(path)) for path in files}
        return {path: one.signature for path, one in before.items()} != {
            path: one.signature for path, one in self._found.items()
        }

    @property
    def baselines(self) -> Sequence[Baseline]:
        """One for each model and version; of several, the file that was written last."""
        latest: dict[ModelKey, tuple[Signature, Baseline]] = {}
        for one in self._found.values():
            if one.baseline is not None and one.signature is not None:
                known = latest.get(one.baseline.model)
                if known is None or known[0] <= one.signature:
                    latest[one.baseline.model] = one.signature, one.baseline
        return [baseline for _, baseline in latest.values()]

    @property
    def found(self) -> Mapping[Path, Found]:
        """What is in each file."""
        return self._found

    def keep(self, contents: Sequence[bytes]) -> Kept:
        """Put the contents of files into the inbox; what is intact is on disk once this returns.

        Keeping the same again changes nothing, so that whoever was told of an error may send all of it again.

        Raises:
            OSError: They cannot be written now; nothing half written is left.
        """
        if self.inbox is None:
            problem = "baselines are not accepted here (processors::drift::accept_baselines names a folder)"
            return Kept((), [problem] * len(contents))
        baselines: list[Baseline] = []
        problems: list[str] = []
        files: list[tuple[bytes, Path]] = []
        for content in contents:
            try:
                baseline = baseline_of(content, "the baseline that was sent")
            except BaselineError as error:
                problems.append(str(error))
            else:
                baselines.append(baseline)
                files.append((content, Path(self.inbox) / file_name(baseline.model)))
        write_contents(files)
        return Kept(baselines, problems)

    def tidy(self) -> None:
        """Remove from the inbox what a process that was killed had half written: nobody reads it, and it takes room."""
        if self.inbox is None:
            return
        with suppress(OSError):
            for path in half_written(Path(self.inbox)):
                # Others may be writing into the same folder at this moment.
                with suppress(OSError):
                    if time.time() - path.stat().st_mtime > _ABANDONED_S:
                        path.unlink()

    def _files(self) -> Iterable[Path]:
        folders = [*self.paths, *([self.inbox] if self.inbox is not None else [])]
        seen: set[Path] = set()
        for path in map(Path, folders):
            for file in sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path]:
                # Hidden ones are being written.
                if file not in seen and not file.name.startswith("."):
                    seen.add(file)
                    yield file


def _read(path: Path, before: Found | None) -> Found:
    try:
        stat = os.stat(path)  # noqa: PTH116 - the same, every few seconds
    except OSError as error:
        problem = f"{path}: {error.strerror or error} (expected a baseline file)"
        # A file that is named and gone is somebody's mistake; one that left a folder is not even looked for.
        return Found(None, problem=problem) if before is None else replace(before, problem=problem)
    signature = Signature(stat.st_mtime_ns, stat.st_size, stat.st_ino)
    if before is not None and before.signature == signature:
        return before
    try:
        return Found(signature, Baseline.load(path))
    except BaselineError as error:
        if before is not None and before.baseline is not None:
            # Until somebody mends it, what was there is better than nothing.
            return Found(signature, before.baseline, str(error))
        return Found(signature, problem=str(error))
