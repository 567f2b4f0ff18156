"""What every instrumentor of ours has in common: a check of its own, patches as data, and undoing them."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from opentelemetry.instrumentation.dependencies import get_dependency_conflicts
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]  # an untyped file

from otel_ml.instrumentation import identity
from otel_ml.instrumentation.executor import carrying
from otel_ml.instrumentation.patch import Ledger, ModulePatch, Patch, SharedPatch, apply_when_imported
from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


class MLInstrumentor(BaseInstrumentor):  # type: ignore[misc]  # Any, as mypy sees it
    """Instruments one framework: name what it needs and what to patch, the rest is here.

    Attributes:
        requires: Distributions and versions, as in pyproject.toml: ("scikit-learn >= 1.5",).
        requires_any: One of these beside them, where a framework comes in several distributions.
        shared: Patches it needs that others need as well.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    requires_any: ClassVar[tuple[str, ...]] = ()
    shared: ClassVar[tuple[SharedPatch, ...]] = (carrying,)
    active: ClassVar[bool] = False
    """Whether patches are in place, or waiting for their module to be imported; hooks that remain look here."""
    _ledger: Ledger | None = None

    @abstractmethod
    def patches(self) -> Sequence[Patch | ModulePatch]:
        """What to replace in which module; nothing of the framework may be imported to tell."""

    def instrumentation_dependencies(self) -> Collection[str]:
        """The framework and its versions; of several distributions of it the installed ones."""
        installed = [one for one in self.requires_any if get_dependency_conflicts((one,)) is None]
        return (*self.requires, *(installed or self.requires_any))

    def is_available(self) -> bool:
        """Whether the framework is installed, in a version we know."""
        if get_dependency_conflicts(self.requires) is not None:
            return False
        return not self.requires_any or any(get_dependency_conflicts((one,)) is None for one in self.requires_any)

    def _instrument(self, **_: Any) -> None:
        # The loader checks the whole wheel's extras, then skips the per-class check. All our instrumentors live in one
        # wheel, so only a check per class means anything; and an exception here would abort every later instrumentor.
        try:
            if self._ledger is not None or not self.is_available():
                return
            self._ledger = Ledger()
            type(self).active = True
            identity.forget_all()
            for patch in self.shared:
                patch.acquire()
            apply_when_imported(self.patches(), self._ledger)
        except Exception as error:
            failed(f"instrumenting with {type(self).__name__}", error)

    def _uninstrument(self, **_: Any) -> None:
        ledger, self._ledger = self._ledger, None
        if ledger is not None:
            type(self).active = False
            ledger.undo()
            for patch in self.shared:
                patch.release()
