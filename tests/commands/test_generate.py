"""`hf-vanilla generate`: the same text as the model's own `generate`, at once or token by token."""

import io
import json
import sys

import pytest
import torch

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.pipelines.loading import load_model

from ..tiny_folders import SENTENCES


@pytest.fixture(scope="module")
def loaded(causal_lm):
    return load_model(str(causal_lm), "AutoModelForCausalLM", use="a test", device="cpu")


def greedy(loaded, prompt, tokens=6):
    """(the whole text, the log probability of what is new)."""
    model, tokenizer = loaded
    inputs = tokenizer(prompt, return_tensors="pt")
    written = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    with torch.no_grad():
        steps = model(written).logits[0].log_softmax(-1)
    start = inputs["input_ids"].shape[1]
    score = sum(steps[place - 1, written[0, place]].item() for place in range(start, written.shape[1]))
    return tokenizer.decode(written[0], skip_special_tokens=True), score


def generated(capsys, folder, *arguments):
    assert main(["generate", str(folder), "--max-new-tokens", "6", "--device", "cpu", *arguments]) == 0
    return capsys.readouterr().out


def test_lines_of_a_file_and_a_prompt(causal_lm, loaded, capsys, tmp_path):
    (tmp_path / "prompts").write_text("\n".join(SENTENCES[:2]))
    given = ["--temperature", "0", "--json"]
    lines = generated(capsys, causal_lm, "--input", str(tmp_path / "prompts"), *given).splitlines()
    for prompt, line in zip(SENTENCES[:2], lines):
        ((text, score),) = [(answer["text"], answer["score"]) for answer in json.loads(line)["answers"]]
        expected, log_probability = greedy(loaded, prompt)
        assert text == expected and score == pytest.approx(log_probability, abs=1e-3)
    plain = generated(capsys, causal_lm, "--prompt", SENTENCES[0], "--temperature", "0")
    assert plain == greedy(loaded, SENTENCES[0])[0] + "\n"
    new = generated(capsys, causal_lm, "--prompt", SENTENCES[0], "--temperature", "0", "--only-new")
    assert SENTENCES[0] + new == plain


def test_a_stream_shows_the_same_text(causal_lm, loaded, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{SENTENCES[0]}\n".encode())))
    assert generated(capsys, causal_lm, "--temperature", "0", "--stream") == greedy(loaded, SENTENCES[0])[0] + "\n"


def test_beams_and_samples(causal_lm, capsys, tmp_path):
    beams = generated(capsys, causal_lm, "--prompt", "A dog", "--num-beams", "3", "--n-best", "3", "--json")
    assert len(json.loads(beams)["answers"]) == 3
    sampled = ["--prompt", "A dog", "--n-best", "3", "--seed", "1", "--json", "--top-k", "20"]
    once = generated(capsys, causal_lm, *sampled, "--attention", str(tmp_path / "seen.svg"))
    assert once == generated(capsys, causal_lm, *sampled)
    scores = [answer["score"] for answer in json.loads(once)["answers"]]
    assert scores == sorted(scores, reverse=True)
    assert (tmp_path / "seen.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stream", "--n-best", "2"], "--stream shows tokens before --n-best"),
        (["--num-beams", "2", "--top-k", "5"], "leave out --top-k"),
        (["--num-beams", "2", "--n-best", "3"], "--n-best 3 needs --num-beams 3"),
        (["--temperature", "0", "--n-best", "2"], "--temperature 0 has one answer"),
        (["--temperature", "-1"], "must not be negative"),
        (["--max-new-tokens", "0"], "leaves nothing to write"),
        (["--max-new-tokens", "900"], "has positions for 64"),
        (["--input", "nowhere"], "give one of them"),
    ],
)
def test_faults_are_named(causal_lm, arguments, message, capsys):
    assert main(["generate", str(causal_lm), "--prompt", "A dog", "--device", "cpu", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_translation_model_is_told_its_command(seq2seq, capsys):
    assert main(["generate", str(seq2seq), "--prompt", "A dog"]) == 2
    assert "it is for hf-vanilla translate" in capsys.readouterr().err
