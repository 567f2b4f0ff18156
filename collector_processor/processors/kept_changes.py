"""What a restart should find of common changes: of each model its latest windows, and the change that goes on."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from otel_ml.sketch.feature import ModelKey

# Of what `encode` writes; a field that is taken away or means something else makes another one.
_FORMAT: Final = 1


@dataclass(frozen=True, slots=True)
class Seen:
    """Which features were measured in a window, and the places among them of those that drifted."""

    names: tuple[str, ...]
    drifting: tuple[int, ...]

    @classmethod
    def of(cls, verdicts: Mapping[str, bool], like: Seen | None = None) -> Seen:
        """A window's verdicts; the names are those of another window where they are the same, which saves memory."""
        names = tuple(verdicts)
        if like is not None and like.names == names:
            names = like.names
        return cls(names, tuple(place for place, drifts in enumerate(verdicts.values()) if drifts))

    @property
    def verdicts(self) -> dict[str, bool]:
        """Whether each of them drifted."""
        return {**dict.fromkeys(self.names, False), **{self.names[place]: True for place in self.drifting}}


@dataclass(slots=True)
class Change:
    """A change that goes on.

    Attributes:
        features: Those that began to drift together, and what is left of a change before it.
        began: Those of them that began in its latest window.
        window_end_unix_nano: End of that window.
        heard_unix_nano: When a window told last whether they still drift, by the wall clock.
        windows_since: Windows after that in which they began.
    """

    features: Sequence[str]
    began: frozenset[str]
    window_end_unix_nano: int
    heard_unix_nano: int
    windows_since: int = 0


@dataclass(frozen=True, slots=True)
class Kept:
    """All of one model.

    Attributes:
        before: The latest windows, the oldest first.
        heard_unix_nano: When the last of them was seen.
    """

    before: Sequence[Seen]
    heard_unix_nano: int
    change: Change | None = None


def encode_key(model: ModelKey) -> str:
    """Under which name it is kept."""
    return json.dumps(model)


def encode(kept: Kept) -> bytes:
    """It as bytes, names of features once."""
    names: dict[tuple[str, ...], int] = {}
    before = [[names.setdefault(seen.names, len(names)), *seen.drifting] for seen in kept.before]
    change = kept.change
    return json.dumps(
        {
            "format": _FORMAT,
            "heard_unix_nano": kept.heard_unix_nano,
            "names": list(names),
            "before": before,
            "change": change
            and {
                "features": list(change.features),
                "began": sorted(change.began),
                "window_end_unix_nano": change.window_end_unix_nano,
                "heard_unix_nano": change.heard_unix_nano,
                "windows_since": change.windows_since,
            },
        }
    ).encode()


def decode(key: str, value: bytes) -> tuple[ModelKey, Kept]:
    """What `encode_key` and `encode` gave.

    Raises:
        ValueError: It is something else, or of another version.
    """
    try:
        name, version = json.loads(key)
        fields = json.loads(value)
        if fields["format"] != _FORMAT:
            raise ValueError(f"common changes in format {fields['format']!r} (format {_FORMAT})")
        names = [tuple(map(str, found)) for found in fields["names"]]
        before = [Seen(names[place], tuple(drifting)) for place, *drifting in fields["before"]]
        change = fields["change"]
        if change is not None:
            change = Change(**{**change, "began": frozenset(change["began"])})
        return ModelKey(name, version), Kept(before, int(fields["heard_unix_nano"]), change)
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError(f"common changes of {key}: {error!r} (what this version wrote)") from error
