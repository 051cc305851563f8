"""`hf-vanilla generate`: the same text as the model's own `generate`, with and without streaming."""

import io
import json
import sys

import pytest
import torch

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.pipelines.loading import load_model

from ..tiny_models import SENTENCES


@pytest.fixture(scope="module")
def loaded(causal_lm):
    return load_model(str(causal_lm), "AutoModelForCausalLM", purpose="a test", device="cpu")


def greedy(loaded, prompt, tokens=6):
    """The text of greedy search and the log-probability of its new tokens."""
    model, tokenizer = loaded
    inputs = tokenizer(prompt, return_tensors="pt")
    sequence = model.generate(**inputs, max_new_tokens=tokens, do_sample=False)
    with torch.no_grad():
        steps = model(sequence).logits[0].log_softmax(-1)
    start = inputs["input_ids"].shape[1]
    score = sum(steps[position - 1, sequence[0, position]].item() for position in range(start, sequence.shape[1]))
    return tokenizer.decode(sequence[0], skip_special_tokens=True), score


def generated(capsys, folder, *arguments):
    assert main(["generate", str(folder), "--max-new-tokens", "6", "--device", "cpu", *arguments]) == 0
    return capsys.readouterr().out


def test_prompts_of_a_file_and_a_single_prompt_are_continued(causal_lm, loaded, capsys, tmp_path):
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


def test_streaming_prints_the_same_text(causal_lm, loaded, capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{SENTENCES[0]}\n".encode())))
    assert generated(capsys, causal_lm, "--temperature", "0", "--stream") == greedy(loaded, SENTENCES[0])[0] + "\n"


def test_beam_search_and_sampling_return_ranked_answers(causal_lm, capsys, tmp_path):
    beams = generated(capsys, causal_lm, "--prompt", "A dog", "--num-beams", "3", "--n-best", "3", "--json")
    assert len(json.loads(beams)["answers"]) == 3
    sampled = ["--prompt", "A dog", "--n-best", "3", "--seed", "1", "--json", "--top-k", "20"]
    once = generated(capsys, causal_lm, *sampled, "--attention", str(tmp_path / "attention.svg"))
    assert once == generated(capsys, causal_lm, *sampled)
    scores = [answer["score"] for answer in json.loads(once)["answers"]]
    assert scores == sorted(scores, reverse=True)
    assert (tmp_path / "attention.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--stream", "--n-best", "2"], "--n-best"),
        (["--num-beams", "2", "--top-k", "5"], "--top-k"),
        (["--num-beams", "2", "--n-best", "3"], "--n-best 3"),
        (["--temperature", "0", "--n-best", "2"], "--temperature 0"),
        (["--max-new-tokens", "900"], "at most 63"),
        (["--input", "nowhere"], "--prompt and --input"),
    ],
)
def test_invalid_options_are_named(causal_lm, arguments, message, capsys):
    assert main(["generate", str(causal_lm), "--prompt", "A dog", "--device", "cpu", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_error_for_a_translation_model_names_its_command(seq2seq, capsys):
    assert main(["generate", str(seq2seq), "--prompt", "A dog"]) == 2
    assert "hf-vanilla translate" in capsys.readouterr().err
