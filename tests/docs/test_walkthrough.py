"""The commands of the walk-through run unchanged, in both languages, on tiny data and with a tiny model."""

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from transformers import BertConfig, BertForMaskedLM

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.tokenization import train_tokenizer
from hf_vanilla_transformer.training.recipes.finetuning_recipe import FinetuneRecipe
from hf_vanilla_transformer.training.recipes.reading import fields_of

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("walkthrough.md", "walkthrough.ko.md")
# These options make each command small. They are the only change.
SMALL = {
    "pretrain": [
        *("--model.config.num_hidden_layers", "1", "--model.config.hidden_size", "32"),
        *("--model.config.num_attention_heads", "2", "--model.config.intermediate_size", "64"),
        *("--tokenizer.vocab_size", "300", "--data.hold_out", "20", "--data.max_length", "32"),
        *("--training.max_steps", "4", "--training.tokens_per_batch", "256", "--training.warmup_steps", "1"),
    ],
    "adapt": [
        *("--data.hold_out", "20", "--adaptation.general.hold_out", "20", "--training.max_steps", "4"),
        *("--training.tokens_per_batch", "256", "--evaluation.eval_steps", "2"),
    ],
    "finetune": ["--training.num_train_epochs", "1", "--training.per_device_train_batch_size", "8"],
}
WORDS = {
    "walkthrough.md": (["fine", "lovely"], ["dull", "awful"], ["film", "cast", "plot"]),
    "walkthrough.ko.md": (["좋은", "멋진"], ["지루한", "끔찍한"], ["영화", "배우", "이야기"]),
}


def blocks(page: str, language: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.S)


def commands(page: str) -> list[str]:
    joined = "".join(blocks(page, "bash")).replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip()]


def write_data(folder: Path, page: str) -> None:
    good, bad, things = WORDS[page]
    labels = ("good", "bad") if page == "walkthrough.md" else ("긍정", "부정")
    rows, texts = ["text,label"], []
    for number in range(60):
        word = (good if number % 2 else bad)[number % 4 // 2]
        text = f"{number}, {word} {things[number % 3]}"
        rows.append(f'"{text}",{labels[0] if number % 2 else labels[1]}')
        texts.append(text)
    (folder / "reviews.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    for name in ("unlabelled.txt", "general.txt"):
        (folder / name).write_text("\n".join(texts * 4) + "\n", encoding="utf-8")


def transformers_bert(folder: Path, texts: list[str]) -> Path:
    """A published BERT, for the command that converts one."""
    tokenizer = train_tokenizer(texts, kind="wordpiece", vocab_size=200, template="encoder")
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    BertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("page", [PAGES[0], pytest.param(PAGES[1], marks=pytest.mark.slow)])
def test_the_commands_of_the_page_run(page, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path, page)
    done = []
    for line in commands(page):
        words = shlex.split(line)
        if words[0] == "echo":
            monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{words[1]}\n".encode()), encoding="utf-8"))
            words = words[words.index("|") + 1 :]
        assert words[0] == "hf-vanilla", line
        name = words[1]
        if name == "convert":
            words[2] = str(
                transformers_bert(tmp_path / "transformers", (tmp_path / "general.txt").read_text().splitlines())
            )
        assert main([*words[1:], *SMALL.get(name, [])]) == 0, line
        done.append(name)
    assert done == ["pretrain", "convert", "adapt", "finetune", "finetune", "classify", "publish"]
    printed = capsys.readouterr().out
    assert "Trainable parts" in printed
    report = (tmp_path / "runs/sentiment/report.md").read_text(encoding="utf-8")
    assert "## Calibration" in report and "report-confusion.png" in report
    (code,) = blocks(page, "python")
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        exec(compile(code, page, "exec"), {})
    assert "'label'" in output.getvalue() and "'score'" in output.getvalue()
    card = (tmp_path / "runs/sentiment/model/README.md").read_text(encoding="utf-8")
    assert "reviews.csv" in card and "adapted" in card


def test_both_pages_have_the_same_commands():
    english, korean = map(commands, PAGES)
    changed = [(one, other) for one, other in zip(english, korean, strict=True) if one != other]
    assert all("echo" in one or "convert" in one for one, _ in changed) and len(changed) == 2


@pytest.mark.parametrize("page", PAGES)
def test_the_fields_named_in_the_text_exist(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    known = {name for name, _ in fields_of(FinetuneRecipe)}
    prose = re.sub(r"```.*?```", "", text, flags=re.S)
    named = set(re.findall(r"--([a-z_]+\.[a-z_.]+)", prose))
    assert named and named <= known, named - known
    for target in re.findall(r"\]\(([\w.]+\.md)\)", text):
        assert (DOCS / target).is_file(), target
