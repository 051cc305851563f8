"""The course of notebooks: the same code in both languages, without outputs, and it runs."""

import json
import re
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "docs/notebooks"
NAMES = sorted(path.name for path in (ROOT / "en").glob("*.ipynb"))
# These train a model.
LONG = ("5-", "6-", "7-", "8-")
HANGUL = re.compile("[가-힣]")


def cells(language: str, name: str) -> list[dict]:
    return json.loads((ROOT / language / name).read_text(encoding="utf-8"))["cells"]


def sources(language: str, name: str, kind: str) -> list[str]:
    return ["".join(cell["source"]) for cell in cells(language, name) if cell["cell_type"] == kind]


def test_both_languages_have_the_same_notebooks():
    assert NAMES and sorted(path.name for path in (ROOT / "ko").glob("*.ipynb")) == NAMES
    assert [int(name.partition("-")[0]) for name in NAMES] == list(range(1, len(NAMES) + 1))


@pytest.mark.parametrize("name", NAMES)
def test_the_languages_differ_only_in_their_text(name):
    assert sources("en", name, "code") == sources("ko", name, "code")
    english, korean = sources("en", name, "markdown"), sources("ko", name, "markdown")
    assert [cell["cell_type"] for cell in cells("en", name)] == [cell["cell_type"] for cell in cells("ko", name)]
    for one, other in zip(english, korean):
        assert not HANGUL.search(one) and HANGUL.search(other)
        # The same headings, formulas in code, and links.
        assert re.findall(r"^#+", one, re.M) == re.findall(r"^#+", other, re.M)
        assert set(re.findall(r"`([^`]+)`", one)) == set(re.findall(r"`([^`]+)`", other))
        assert re.findall(r"\]\(([^)]+)\)", one) == re.findall(r"\]\(([^)]+)\)", other)
    assert english[0].startswith(f"# {name.partition('-')[0]}. ")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_notebook_has_the_format_of_jupyter_and_no_outputs(language, name):
    notebook = json.loads((ROOT / language / name).read_text(encoding="utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    assert notebook["metadata"]["kernelspec"]["language"] == "python"
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
    for cell in notebook["cells"]:
        assert cell["metadata"] == {} and isinstance(cell["source"], list)
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
        for target in re.findall(r"\]\(([^)#]+)\)", "".join(cell["source"])):
            assert target.startswith("https://") or (ROOT / language / target).exists(), target


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name.startswith(LONG) else name for name in NAMES]
)
def test_a_notebook_runs(name, monkeypatch, tmp_path):
    import matplotlib
    import matplotlib.pyplot as plt

    monkeypatch.chdir(tmp_path)
    backend = matplotlib.get_backend()
    matplotlib.use("Agg")
    drawn = 0
    namespace: dict[str, object] = {"__name__": "__main__"}
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "FigureCanvasAgg is non-interactive")
            for number, source in enumerate(sources("en", name, "code")):
                exec(compile(source, f"{name}, code cell {number}", "exec"), namespace)
                for figure in map(plt.figure, plt.get_fignums()):
                    drawn += 1
                    for axes in figure.axes:
                        # Pictures side by side may share one of the two labels; a bar of colours has only one.
                        assert axes.get_xlabel() or axes.get_ylabel(), f"{name}, code cell {number}"
                plt.close("all")
    finally:
        plt.close("all")
        matplotlib.use(backend)
    assert drawn
