"""Runs a function as soon as a module of transformers is imported, without importing it now.

Our classes must be registered with transformers before it is asked for them, but importing transformers takes seconds,
which `hf-vanilla --help` or a user who only builds a tokenizer should not pay. So a finder on `sys.meta_path` waits for
the module, lets the other finders load it, and then calls the function.

Modules of transformers import each other, and ours import them. Therefore the function is not called while an import of
either is in progress, when names may still be missing, but at the end of the outermost one.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

# Imports inside these packages are counted, to find the end of the outermost one.
_PACKAGES = {"transformers", __name__.partition(".")[0]}


def after_import(module: str, action: Callable[[ModuleType], object]) -> None:
    """Calls `action` once: now if `module` is already imported, otherwise at the end of the import that imports it.

    Args:
        module: full name of a module of transformers.
        action: is given the module. What it raises is raised by that import.
    """
    if module in sys.modules:
        action(sys.modules[module])
        return
    finder = next((finder for finder in sys.meta_path if isinstance(finder, _WaitingFinder)), None)
    if finder is None:
        finder = _WaitingFinder()
        sys.meta_path.insert(0, finder)
    finder.waiting.setdefault(module, []).append(action)


class _WaitingFinder(MetaPathFinder):
    """Finds modules of `_PACKAGES` through the other finders and follows their import; removes itself when done."""

    def __init__(self) -> None:
        self.waiting: dict[str, list[Callable[[ModuleType], object]]] = {}
        self.due: list[tuple[Callable[[ModuleType], object], ModuleType]] = []
        self.imports = threading.local()  # `depth`: how many imports of this thread are in progress

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name.partition(".")[0] not in _PACKAGES:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and isinstance(spec.loader, Loader):
            self.follow(name, spec.loader)
        return spec

    def follow(self, name: str, loader: Loader) -> None:
        """Makes the loader of one module report the begin and the end of its import."""
        run_module = loader.exec_module

        def run_and_report(module: ModuleType) -> None:
            depth = getattr(self.imports, "depth", 0)
            self.imports.depth = depth + 1
            try:
                run_module(module)
                self.due += [(action, sys.modules[name]) for action in self.waiting.pop(name, ())]
            finally:
                self.imports.depth = depth
            if depth == 0:
                self.call_due_actions()

        loader.exec_module = run_and_report  # type: ignore[method-assign]

    def call_due_actions(self) -> None:
        """Calls what waited for imports that are complete."""
        while self.due:
            action, module = self.due.pop(0)
            action(module)
        if not self.waiting and self in sys.meta_path:
            sys.meta_path.remove(self)
