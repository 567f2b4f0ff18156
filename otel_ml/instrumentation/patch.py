"""Replacing attributes of other people's modules, as data, so that undoing cannot drift from doing."""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import wrapt

from otel_ml.recording.guard import failed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

ABSENT: Final = object()
"""Stands for an attribute the owner did not have itself but inherited: undoing removes ours instead of copying it."""
_OF_HOOK: Final = object()


@dataclass(frozen=True, slots=True)
class Patch:
    """One attribute of one module, and what to put in its place.

    Attributes:
        module: Dotted name of the module; never imported by us.
        attribute: Path inside it: "run_endpoint_function", "FastAPI.__call__".
        wrap: Gets the original, returns the replacement.
        optional: Other versions of the framework may lack it: its absence is no failure.
    """

    module: str
    attribute: str
    wrap: Callable[[Any], Any]
    optional: bool = False

    def apply(self, module: ModuleType, ledger: Ledger) -> None:
        """Replace the attribute and note it in the ledger."""
        *path, name = self.attribute.split(".")
        owner: Any = module
        try:
            for step in path:
                owner = getattr(owner, step)
            original = getattr(owner, name)
        except AttributeError:
            if self.optional:
                return
            raise
        ledger.replace(owner, name, self.wrap(original))


@dataclass(frozen=True, slots=True)
class ModulePatch:
    """Several replacements that only the loaded module can tell, such as every class of a tree.

    Attributes:
        module: Dotted name of the module; never imported by us.
        attribute: What it is about, for messages.
        replace: Gets the module and the ledger through which it must make every replacement.
    """

    module: str
    attribute: str
    replace: Callable[[ModuleType, Ledger], None]

    def apply(self, module: ModuleType, ledger: Ledger) -> None:
        """Make the replacements."""
        self.replace(module, ledger)


class _Replacement(NamedTuple):
    """One replacement; the owner, and what belongs to it, are not kept alive."""

    owner: weakref.ref[Any]
    name: str
    original: Any
    """What was there; `_OF_HOOK` when our own hook, which lives as long as its owner, remembers it as `__wrapped__`."""
    hook: Callable[[], Any]
    """Gives what was put there, as it is stored: classmethods are bound on access."""

    def undo(self) -> None:
        owner, hook = self.owner(), self.hook()
        if owner is None or hook is None or vars(owner).get(self.name, ABSENT) is not hook:
            return  # gone, or replaced once more by others: theirs to undo
        original = hook.__wrapped__ if self.original is _OF_HOOK else self.original
        if original is ABSENT:
            delattr(owner, self.name)
        else:
            setattr(owner, self.name, original)


class Ledger:
    """Every replacement made, with the original objects."""

    def __init__(self) -> None:
        self.open = True
        self._replacements: list[_Replacement] = []
        self._covered: weakref.WeakKeyDictionary[Any, set[str]] = weakref.WeakKeyDictionary()
        self._prune_at = 1024

    def __len__(self) -> int:
        return len(self._replacements)

    def covers(self, owner: Any, name: str) -> bool:
        """Whether this very attribute of this very owner was replaced."""
        return name in self._covered.get(owner, ())

    def replace(self, owner: Any, name: str, replacement: Any, *, original: Any = None) -> None:
        """Set `owner.name`, remembering what was there, or the `original` that belongs there."""
        if original is None:
            original = vars(owner).get(name, ABSENT)
        self._covered.setdefault(owner, set()).add(name)
        setattr(owner, name, replacement)
        stored = vars(owner)[name]
        # A method refers to its class (through super(), say). Holding it here would keep every class alive that was
        # ever made in a function or notebook cell.
        if isinstance(stored, FunctionType) and getattr(stored, "__wrapped__", None) is original:
            entry = _Replacement(weakref.ref(owner), name, _OF_HOOK, weakref.ref(stored))
        else:
            entry = _Replacement(weakref.ref(owner), name, original, lambda: stored)
        self._replacements.append(entry)
        if len(self._replacements) > self._prune_at:
            self._replacements = [entry for entry in self._replacements if entry.owner() is not None]
            self._prune_at = 2 * len(self._replacements) + 1024

    def undo(self) -> None:
        """Put every original object back, newest first; what others replaced after us is left to them."""
        self.open = False
        self._covered.clear()
        while self._replacements:
            self._replacements.pop().undo()


class SharedPatch:
    """A patch that several instrumentors need: in place while any of them does.

    Args:
        patch: Made once; what it replaces passes through again when the last instrumentor has released it.
    """

    def __init__(self, patch: Patch) -> None:
        self.patch: Final = patch
        self.active = False
        self._users = 0
        self._ledger: Ledger | None = None

    def acquire(self) -> None:
        """Have it in place for one more instrumentor."""
        self._users += 1
        if self._ledger is None:
            self._ledger = Ledger()
            self.active = True
            apply_when_imported([self.patch], self._ledger)

    def release(self) -> None:
        """One instrumentor less needs it."""
        self._users -= 1
        if self._users <= 0 and self._ledger is not None:
            self._users = 0
            self.active = False
            self._ledger.undo()
            self._ledger = None


def apply_when_imported(patches: Sequence[Patch | ModulePatch], ledger: Ledger) -> None:
    """Apply each patch as soon as its module is loaded: at once, or when the application imports it.

    A patch that fails is reported once and skipped: an exception here would fail the user's import, or abort every
    instrumentor after this one. A hook that fires after `ledger.undo()` does nothing.
    """
    for patch in patches:
        wrapt.register_post_import_hook(_hook(patch, ledger), patch.module)


def _hook(patch: Patch | ModulePatch, ledger: Ledger) -> Callable[[ModuleType], None]:
    def apply(module: ModuleType) -> None:
        if not ledger.open:
            return
        try:
            patch.apply(module, ledger)
        except Exception as error:
            failed(f"patching {patch.module}.{patch.attribute}", error)

    return apply
