"""`python -m benchmarks`: lists the benchmarks; `python -m benchmarks NAME ...` runs one."""

from __future__ import annotations

import ast
import difflib
import re
import runpy
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent


def titles() -> dict[str, str]:
    """The name of each benchmark and what it measures, read without importing it."""
    found = {}
    for file in sorted(FOLDER.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        if (
            'if __name__ == "__main__":' not in text
            or file == Path(__file__).resolve()
            or file.stem.endswith("_worker")
        ):
            continue
        name = ".".join(file.relative_to(FOLDER).with_suffix("").parts)
        title = ast.get_docstring(ast.parse(text)).splitlines()[0]
        title = re.sub(r"`python -m benchmarks[^`]*`:?", "", title).strip()
        found[name] = title[0].upper() + title[1:]
    return found


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark of that name with the other arguments, or lists all benchmarks."""
    arguments = sys.argv[1:] if arguments is None else arguments
    known = titles()
    if not arguments or arguments[0] in ("-h", "--help"):
        width = max(map(len, known))
        print("usage: python -m benchmarks NAME [options]\n\nbenchmarks (each has --help):")
        print(*(f"  {name:{width}}  {title}" for name, title in known.items()), sep="\n")
        return 0
    name, *options = arguments
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "python -m benchmarks lists them."
        print(f"There is no benchmark {name!r}: {hint}", file=sys.stderr)
        return 2
    sys.argv = [f"python -m benchmarks {name}", *options]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
