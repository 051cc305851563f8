"""How many of transformers' own tests each model passes: our three stacks beside BERT, GPT-2 and Marian.

    python -m tests.conformance.report [--json FILE] [--all-settings] [--only NAME ...] [--workers N] [-k EXPRESSION]

Prints Markdown: the counts, the reasons of all skips, and what a model of transformers passes that our stack does not
run. Ends with status 1 if a test of ours failed or there is such a gap.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.conformance import source_distribution

_HERE = Path(__file__).resolve().parent
# Which transformers model each stack of ours is measured against, and the test class of its base setting.
_REFERENCE_OF_STACK = {
    "TestEncoder": "BertConformance",
    "TestDecoder": "GPT2Conformance",
    "TestTransformer": "MarianConformance",
}
_LABELS = {
    "TestEncoder": "encoder (ours)",
    "TestDecoder": "decoder (ours)",
    "TestTransformer": "encoder-decoder (ours)",
    "BertConformance": "BERT",
    "GPT2Conformance": "GPT-2",
    "MarianConformance": "Marian",
}
_NAMES_IN_REASONS = [
    (re.compile(r"<class '[\w.]+'>"), "the model"),
    (re.compile(r"\b\w*(?:Vanilla|Bert|GPT2|Marian)\w+\b( class)?"), "the model"),
    (re.compile(r"\bTest(?:Encoder|Decoder|Transformer)\w*"), "the tests"),
    (
        re.compile(r".*is skipped: `([\w-]+)` is not in `self.pipeline_model_mapping`.*"),
        r"pipeline for another task: \1",
    ),
]


class Outcomes:
    """A pytest plugin that keeps, for each test, every outcome with its reason, those of its subtests included."""

    def __init__(self) -> None:
        self.reports: dict[str, list[tuple[str, str]]] = defaultdict(list)
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Called for each phase of each test, and for each subtest; with several workers, in the controller."""
        self.seconds[report.nodeid] += getattr(report, "duration", 0.0)
        if report.when == "call" or report.outcome != "passed":
            self.reports[report.nodeid].append((report.outcome, _reason(report)))

    def results(self) -> dict[str, dict[str, dict[str, Any]]]:
        """{test class: {test: {"outcome", "reason", "seconds"}}}. A test fails if one of its subtests does."""
        results: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
        for node, reports in self.reports.items():
            _, test_class, test = node.split("::")
            outcomes = {outcome for outcome, _ in reports}
            only_skipped = "skipped" in outcomes and sum(outcome == "passed" for outcome, _ in reports) <= 1
            outcome = "failed" if "failed" in outcomes else "skipped" if only_skipped else "passed"
            reason = next((reason for found, reason in reports if found == outcome), "")
            results[test_class][test] = {
                "outcome": outcome,
                "reason": "" if outcome == "passed" else reason,
                "seconds": round(self.seconds[node], 2),
            }
        return results


def _reason(report: Any) -> str:
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        return plain_reason(report.longrepr[2])
    if report.outcome == "failed":
        lines = str(report.longrepr).strip().splitlines() or [""]
        errors = [line[1:].strip() for line in lines if line.startswith("E ")]
        return (errors or lines)[-1][:300]
    return ""


def plain_reason(reason: str) -> str:
    """A reason for skipping without the names of model and test, so that equal reasons are counted together."""
    reason = reason.removeprefix("Skipped: ").strip()
    for pattern, replacement in _NAMES_IN_REASONS:
        reason = pattern.sub(replacement, reason)
    return reason


def markdown(results: dict[str, dict[str, dict[str, Any]]]) -> str:
    """The tables."""
    parts = [f"transformers {transformers.__version__}, torch {torch.__version__}, CPU.", ""]
    parts += ["Two tests of exporting and what each pipeline must give are of our own; the mixins call them.", ""]
    parts += ["| model | passed | failed | skipped |", "| --- | ---: | ---: | ---: |"]
    for test_class in results:
        counts = Counter(test["outcome"] for test in results[test_class].values())
        parts.append(f"| {label(test_class)} | {counts['passed']} | {counts['failed']} | {counts['skipped']} |")
    failures = [
        f"- {label(test_class)} `{name}`: {test['reason']}"
        for test_class, tests in results.items()
        for name, test in sorted(tests.items())
        if test["outcome"] == "failed"
    ]
    parts += ["", "Failures:", "", *(failures or ["none"])]
    parts += ["", f"| reason of the skip | {' | '.join(label(c) for c in results)} |"]
    parts.append("| --- |" + " ---: |" * len(results))
    reasons: dict[str, Counter[str]] = defaultdict(Counter)
    for test_class, tests in results.items():
        for test in tests.values():
            if test["outcome"] == "skipped":
                reasons[test["reason"]][test_class] += 1
    for reason, counts in sorted(reasons.items(), key=lambda item: -sum(item[1].values())):
        parts.append(f"| {reason} | {' | '.join(str(counts[c]) for c in results)} |")
    missing = gaps(results)
    parts += ["", "Passed by the transformers model and not run for ours:", ""]
    parts += [f"- {label(ours)} `{test}`: {reason}" for ours, test, reason in missing] or ["none"]
    return "\n".join(parts)


def label(test_class: str) -> str:
    """What a test class is called in the tables."""
    if test_class in _LABELS:
        return _LABELS[test_class]
    stack = next(name for name in _REFERENCE_OF_STACK if test_class.startswith(name))
    words = re.findall(r"[A-Z][a-z]+", test_class.removeprefix(stack))
    return f"{_LABELS[stack]}, {' '.join(words).lower()}"


def gaps(results: dict[str, dict[str, dict[str, Any]]]) -> list[tuple[str, str, str]]:
    """(test class, test, reason) for all that a transformers model passes and the stack of ours beside it skips."""
    found = []
    for ours, reference in _REFERENCE_OF_STACK.items():
        for test, result in sorted(results.get(ours, {}).items()):
            reference_result = results.get(reference, {}).get(test, {"outcome": "absent"})
            if result["outcome"] == "skipped" and reference_result["outcome"] == "passed":
                found.append((ours, test, result["reason"]))
    return found


def run(arguments: argparse.Namespace) -> dict[str, dict[str, dict[str, Any]]]:
    """Run the tests of the chosen classes and collect their outcomes."""
    source_distribution.put_on_path()
    classes = [*_REFERENCE_OF_STACK, *_REFERENCE_OF_STACK.values()]
    if arguments.only:
        classes = [name for name in classes if any(word.lower() in label(name).lower() for word in arguments.only)]
    nodes = []
    for name in classes:
        reference = name in _REFERENCE_OF_STACK.values()
        nodes.append(f"{_HERE / ('transformers_models.py' if reference else 'test_stacks.py')}::{name}")
    if arguments.all_settings:
        nodes = [str(_HERE / "test_stacks.py"), *(node for node in nodes if "transformers_models" in node)]
    outcomes = Outcomes()
    with tempfile.TemporaryDirectory() as rootdir_cache:
        options = ["-q", "-p", "no:warnings", "--tb=short", "--show-capture=no", "-o", f"cache_dir={rootdir_cache}"]
        options += ["-m", "slow or not slow", "-n", str(arguments.workers)]
        options += ["-k", arguments.expression] if arguments.expression else []
        pytest.main([*options, *nodes], plugins=[outcomes])
    results = outcomes.results()
    return {name: results[name] for name in [*classes, *sorted(set(results) - set(classes))] if name in results}


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write every outcome to this file")
    parser.add_argument("--all-settings", action="store_true", help="also the settings of ours marked slow")
    parser.add_argument("--only", nargs="+", help="models whose label contains one of these words")
    parser.add_argument("--workers", type=int, default=2, help="processes (pytest-xdist)")
    parser.add_argument("-k", dest="expression", help="tests that match this expression of pytest")
    arguments = parser.parse_args()
    results = run(arguments)
    if arguments.json:
        aside = arguments.json.with_suffix(".part")
        aside.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n")
        os.replace(aside, arguments.json)
    print(markdown(results))
    failed = any(
        t["outcome"] == "failed" for ours in results if ours.startswith("Test") for t in results[ours].values()
    )
    return 1 if failed or gaps(results) else 0


if __name__ == "__main__":
    sys.exit(main())
