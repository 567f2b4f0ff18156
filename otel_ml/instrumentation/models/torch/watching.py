"""Which models are watched, and under which name."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Final

from otel_ml.instrumentation import identity
from otel_ml.instrumentation.models.torch.call import put_on, take_off
from otel_ml.instrumentation.models.torch.model import WHERE
from otel_ml.recording.guard import failed
from otel_ml.sketch.feature import ModelKey

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

watches: Final[dict[int, Watch]] = {}
"""By id of every module that is watched, also while instrumentation is switched off."""


class Watch:
    """A model that is watched, in all its forms: itself, and what `torch.compile` made of it.

    Attributes:
        key: Name and version, where they were given.
        feature_names: Of the columns of the only input.
    """

    __slots__ = ("_modules", "feature_names", "key")

    def __init__(self) -> None:
        self.key: ModelKey | None = None
        self.feature_names: tuple[str, ...] | None = None
        self._modules: dict[int, weakref.ref[Any]] = {}

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Leave the model as it was; again does nothing."""
        for module in self.modules():
            take_off(module)
            identity.forget(module)
        for known in self._modules:
            watches.pop(known, None)
        self._modules.clear()

    def call_it(self, name: str | None, version: str, feature_names: Sequence[str] | None) -> None:
        """Change name and columns, as far as they are given."""
        if name is not None:
            self.key = ModelKey(str(name), str(version))
        if feature_names is not None:
            self.feature_names = tuple(map(str, feature_names))
        for module in self.modules():
            identity.forget(module)

    def include(self, module: Any) -> None:
        """Watch this module too, as another form of the same model."""
        known = id(module)
        if known not in self._modules:

            def gone(_: object) -> None:
                self._modules.pop(known, None)
                watches.pop(known, None)

            self._modules[known] = weakref.ref(module, gone)
            watches[known] = self
        if is_on():
            try:
                put_on(module, self)
            except Exception as error:
                failed(WHERE, error)

    def modules(self) -> Iterator[Any]:
        """Those that are still there."""
        for reference in list(self._modules.values()):
            module = reference()
            if module is not None:
                yield module


def watch_of(module: Any) -> Watch | None:
    """How this module is watched, if it is."""
    return watches.get(id(module))


def is_on() -> bool:
    """Whether watched models carry our attribute."""
    return _switch.on


def switch(*, on: bool) -> None:
    """Put the attribute on every model that is watched, or take it off."""
    _switch.on = on
    for watched in set(watches.values()):
        for module in watched.modules():
            try:
                if on:
                    put_on(module, watched)
                else:
                    take_off(module)
            except Exception as error:
                failed(WHERE, error)


class _Switch:
    on = False


_switch: Final = _Switch()
