"""Runs of adaptation: measurements, extended vocabulary, L2-SP, replay, interruption and resume."""

import dataclasses
import json
import math
import re
import shutil
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
import yaml
from transformers import AutoConfig, AutoTokenizer, BertConfig, BertForMaskedLM, GPT2Config, GPT2LMHeadModel

from hf_vanilla_transformer import (
    VanillaDecoderConfig,
    VanillaDecoderForCausalLM,
    VanillaEncoderForMaskedLM,
    VanillaEncoderForPreTraining,
    VanillaEncoderForSequenceClassification,
    VanillaEncoderModel,
    to_transformers,
)
from hf_vanilla_transformer.training.adaptation.adaptation_run import load_texts, run_adaptation
from hf_vanilla_transformer.training.adaptation.embeddings import rotate_embeddings
from hf_vanilla_transformer.training.adaptation.l2_sp import L2SP
from hf_vanilla_transformer.training.adaptation.language_model import (
    base_model_settings,
    load_adaptation_recipe,
    open_language_model,
)
from hf_vanilla_transformer.training.adaptation.perplexities import Perplexities, gains, scores_of, table
from hf_vanilla_transformer.training.checkpoints import load_weights
from hf_vanilla_transformer.training.finetuning.base_model import describe, lineage
from hf_vanilla_transformer.training.history import read_history
from hf_vanilla_transformer.training.initial_embeddings import cooccurrence_embeddings
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe
from hf_vanilla_transformer.training.training_run import run_training

from ..interruption import interrupt_at
from ..test_training_run import assert_same, losses
from ..toy import causal_lm_recipe

QUICK = [
    "training.num_train_epochs=null", "training.max_steps=8", "training.tokens_per_batch=96", "training.warmup_steps=2",
    "training.logging_steps=2", "evaluation.eval_steps=4", "data.hold_out=12", "output.plot=false",
]  # fmt: skip


def adaptation_recipe(base_model, domain, output, *overrides):
    return load_adaptation_recipe(
        base_model, [*QUICK, f"data.path={domain}", f"output.output_dir={output}", *overrides]
    )


@pytest.fixture(scope="module")
def adapted(causal_base, domain, tmp_path_factory):
    """A finished adaptation of the causal language model without new words."""
    return run_adaptation(adaptation_recipe(causal_base, domain, tmp_path_factory.mktemp("adapted") / "first"))


@pytest.fixture(scope="module")
def interrupted(causal_base, domain, tmp_path_factory):
    """Folder of an adaptation with replay that was interrupted after three updates."""
    folder = tmp_path_factory.mktemp("interrupted") / "out"
    with pytest.MonkeyPatch.context() as patch:
        interrupt_at(patch, step=3)
        assert run_adaptation(adaptation_recipe(causal_base, domain, folder, "adaptation.replay=0.4")).interrupted
    return folder


def naive_loss(model, tokenizer, texts, length):
    """Summed negative log-likelihood of the tokens in blocks, the number of predicted tokens, and of all tokens."""
    ids = [token for text in texts for token in [*tokenizer(text)["input_ids"], tokenizer.eos_token_id]]
    total = 0.0
    for begin in range(0, len(ids), length):
        block = torch.tensor([ids[begin : begin + length]])
        logits = model.double()(input_ids=block).logits[0, :-1].log_softmax(-1)
        total -= float(logits.gather(1, block[0, 1:, None]).sum())
    return total, len(ids) - math.ceil(len(ids) / length), len(ids)


@torch.no_grad()
def test_perplexities_equal_those_of_a_naive_loop(causal_base, domain, tmp_path):
    recipe = adaptation_recipe(causal_base, domain, tmp_path / "out")
    base_model = open_language_model(recipe)
    corpus, general = load_texts(recipe)
    texts = {"domain": corpus.validation, "general": general.validation}
    measured = Perplexities(recipe, texts).measure(base_model.model, base_model.tokenizer)
    for name, rows in texts.items():
        loss, predicted, tokens = naive_loss(base_model.model.eval(), base_model.tokenizer, rows["text"], 24)
        mean = loss / predicted
        words = sum(len(text.split()) for text in rows["text"])
        characters = sum(map(len, rows["text"]))
        scores = measured[name]
        assert scores["loss"] == pytest.approx(mean, rel=1e-5)
        assert scores["perplexity"] == pytest.approx(math.exp(mean), rel=1e-4)
        assert scores["word_perplexity"] == pytest.approx(math.exp(mean * tokens / words), rel=1e-3)
        assert scores["bits_per_character"] == pytest.approx(mean * tokens / characters / math.log(2), rel=1e-4)


def test_an_encoder_is_adapted_with_new_words(masked_base, domain, general, tmp_path):
    recipe = adaptation_recipe(
        masked_base, domain, tmp_path / "out", "adaptation.new_words=4", "adaptation.min_count=5",
        "adaptation.l2_sp=5", "adaptation.l2_sp_new_rows=free", "adaptation.replay=0.3", "output.plot=true",
    )  # fmt: skip
    assert recipe.task == "masked_lm"
    result = run_adaptation(recipe)
    folder = tmp_path / "out"
    history = json.loads((folder / "results.json").read_text())["adaptation"]["history"]
    assert [point["when"] for point in history] == ["base model", "start", "training", "training", "after"]
    # Word perplexities are comparable, although there are fewer tokens now.
    assert history[-1]["domain"]["word_perplexity"] < history[0]["domain"]["word_perplexity"]
    before = AutoTokenizer.from_pretrained(masked_base)
    after = AutoTokenizer.from_pretrained(folder)
    assert len(after) == len(before) + 4 == result.model.config.vocab_size
    assert len(after("headache")["input_ids"]) == 3 < len(before("headache")["input_ids"])
    assert (folder / "perplexity.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads((folder / "adaptation.json").read_text())
    assert len(facts["new_tokens"]) == 4 and facts["new_words"]
    # The history contains the evaluations during training.
    evaluation = next(record for record in read_history(folder / "metrics.jsonl") if record.get("eval_general_loss"))
    assert history[2]["general"]["loss"] == pytest.approx(evaluation["eval_general_loss"])
    assert history[2]["domain"]["loss"] == pytest.approx(evaluation["eval_domain_loss"])


@pytest.mark.parametrize("base_model", ["causal_base", "masked_base"])
def test_only_embeddings_of_domain_tokens_are_rotated(base_model, request, domain, general, tmp_path):
    folder = request.getfixturevalue(base_model)
    more = ["adaptation.embeddings=cooccurrence", f"adaptation.general.path={general}"]
    run_adaptation(adaptation_recipe(folder, domain, tmp_path / "out", *more))
    before, start = (load_weights(place) for place in (folder, tmp_path / "out" / "start"))
    name = next(name for name in before if name.endswith("word_embeddings.weight") or "embed_tokens" in name)
    changed = {other for other in before if not torch.equal(before[other], start[other])}
    assert name in changed and all(before[other].shape == before[name].shape for other in changed), "and tied matrices"
    tokenizer = AutoTokenizer.from_pretrained(folder)
    texts = [
        tokenizer(line, add_special_tokens=False).input_ids for line in (domain / "train.txt").read_text().split("\n")
    ]
    assert {token for text in texts for token in text} >= set(
        (before[name] != start[name]).any(1).nonzero()[:, 0].tolist()
    )
    adaptation = json.loads((tmp_path / "out" / "results.json").read_text())["adaptation"]
    assert adaptation["embeddings"] == "cooccurrence"
    assert [point["when"] for point in adaptation["history"]][:2] == ["base model", "start"]


def test_rotated_embeddings_keep_their_distances_to_the_mean_and_have_the_angles_of_the_directions():
    torch.manual_seed(0)
    numbers = np.random.default_rng(0)
    texts = [numbers.integers(0, 30, size=8) for _ in range(200)]
    before = torch.randn(32, 12, dtype=torch.float64) + 3
    embedding = before.clone()
    assert rotate_embeddings(embedding, texts) == 30
    assert torch.equal(embedding[30:], before[30:])
    centred, old = embedding[:30] - before[:30].mean(0), before[:30] - before[:30].mean(0)
    torch.testing.assert_close(centred.norm(dim=1), old.norm(dim=1), rtol=1e-5, atol=1e-6)
    values, _ = cooccurrence_embeddings(texts, 32, 12)
    expected = torch.nn.functional.normalize(values[:30], dim=1)
    found = torch.nn.functional.normalize(centred, dim=1)
    torch.testing.assert_close(found @ found.T, (expected @ expected.T).to(found), rtol=0, atol=1e-5)
    # No other rotation brings them nearer to the old embeddings.
    nearness = (found * torch.nn.functional.normalize(old, dim=1)).sum()
    for _ in range(100):
        skew = torch.randn(12, 12, dtype=torch.float64) * 0.1
        rotated = found @ torch.linalg.matrix_exp(skew - skew.T)
        assert (rotated * torch.nn.functional.normalize(old, dim=1)).sum() < nearness


def test_without_new_words_the_tokenizer_and_the_start_model_equal_the_base_model(adapted, causal_base):
    assert AutoTokenizer.from_pretrained(adapted.folder).get_vocab() == (
        AutoTokenizer.from_pretrained(causal_base).get_vocab()
    )
    assert_same(load_weights(adapted.folder / "start"), load_weights(causal_base))
    data = Path(lineage(causal_base)[0].data[0]).name
    assert adapted.metrics["adaptation"]["lineage"] == f"`{causal_base.name}` (causal_lm on `{data}`)"


def test_l2_sp_keeps_the_weights_near_the_base_model(causal_base, domain, tmp_path):
    distances = []
    for strength in (0, 60):
        recipe = adaptation_recipe(
            causal_base, domain, tmp_path / str(strength), f"adaptation.l2_sp={strength}",
            "training.learning_rate=1e-2",
        )  # fmt: skip
        model = run_adaptation(recipe).model
        held = L2SP(model, 1.0)
        start = load_weights(tmp_path / str(strength) / "start")
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(start[name])
        distances.append(held.distance())
    assert 0 < distances[1] < 0.8 * distances[0]


def test_an_interrupted_adaptation_continues_bit_for_bit(causal_base, domain, tmp_path, monkeypatch, capsys):
    more = ["adaptation.replay=0.4", "adaptation.l2_sp=3", "adaptation.new_words=4", "training.max_steps=16"]
    whole = run_adaptation(adaptation_recipe(causal_base, domain, tmp_path / "whole", *more))
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=7)
        stopped = run_adaptation(adaptation_recipe(causal_base, domain, tmp_path / "parts", *more))
    assert stopped.interrupted
    assert f"hf-vanilla adapt --resume {tmp_path / 'parts'}" in capsys.readouterr().err
    saved = load_recipe(tmp_path / "parts")
    # A resumed run does not open or measure the base model again.
    monkeypatch.setattr("hf_vanilla_transformer.training.adaptation.adaptation_run.open_language_model", None)
    resumed = run_adaptation(saved, resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert_same(load_weights(tmp_path / "parts"), load_weights(tmp_path / "whole"))
    assert resumed.metrics["adaptation"]["history"] == whole.metrics["adaptation"]["history"]
    with pytest.raises(ValueError, match=r"finished.*results\.json"):
        run_adaptation(saved)


@pytest.mark.parametrize("change", ["adaptation.replay=0.5", "adaptation.l2_sp=1", "data.max_length=20"])
def test_a_changed_recipe_is_not_resumed(change, interrupted):
    field, value = change.split("=")
    with pytest.raises(ValueError, match=rf"{re.escape(field)} was .* {value}"):
        run_adaptation(load_recipe(interrupted, [change]), resume=True)


def test_a_run_without_its_facts_is_not_resumed(interrupted, tmp_path):
    shutil.copytree(interrupted, tmp_path / "out")
    (tmp_path / "out" / "adaptation.json").unlink()
    recipe = load_recipe(tmp_path / "out", [f"output.output_dir={tmp_path / 'out'}"])
    with pytest.raises(FileNotFoundError, match=r"adaptation\.json"):
        run_adaptation(recipe, resume=True)


def test_a_transformers_decoder_is_a_base_model(causal_base, domain, general, tmp_path):
    """GPT-2 has no padding token, and its texts have an end token only."""
    tokenizer = AutoTokenizer.from_pretrained(causal_base)
    tokenizer.pad_token = None
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer) + 3, n_positions=24, n_embd=16, n_layer=1, n_head=2,
                        bos_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id)  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    assert base_model_settings(tmp_path / "gpt2") == {"task": "causal_lm", "data.max_length": 24}
    recipe = adaptation_recipe(
        tmp_path / "gpt2", domain, tmp_path / "out", f"adaptation.general.path={general}", "adaptation.new_words=5",
        "adaptation.replay=0.2",
    )  # fmt: skip
    result = run_adaptation(recipe)
    assert type(result.model).__name__ == "VanillaDecoderForCausalLM"
    assert result.model.config.vocab_size == len(tokenizer) + 5
    assert result.metrics["adaptation"]["gain"].keys() == {"domain", "general"}


def test_a_transformers_encoder_is_a_base_model(masked_base, domain, general, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(masked_base)
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
                        intermediate_size=32, max_position_embeddings=40, pad_token_id=0)  # fmt: skip
    BertForMaskedLM(config).save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    recipe = adaptation_recipe(tmp_path / "bert", domain, tmp_path / "out", f"adaptation.general.path={general}")
    assert (recipe.task, recipe.data.max_length) == ("masked_lm", 40)
    result = run_adaptation(recipe)
    assert type(result.model).__name__ == "VanillaEncoderForMaskedLM"
    BertForMaskedLM(config).bert.save_pretrained(tmp_path / "headless")
    tokenizer.save_pretrained(tmp_path / "headless")
    recipe = dataclasses.replace(recipe, adaptation=dataclasses.replace(
        recipe.adaptation, base_model=str(tmp_path / "headless")))  # fmt: skip
    with pytest.raises(ValueError, match=r"headless|lm-head|lm_head|predictions"):
        open_language_model(recipe)


def test_a_tokenizer_of_another_model_is_refused(causal_base, masked_base, domain, tmp_path):
    small = tmp_path / "small"
    sizes = {"vocab_size": 30, "hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1,
             "intermediate_size": 16, "max_position_embeddings": 32, "bos_token_id": 1, "eos_token_id": 2}  # fmt: skip
    VanillaDecoderForCausalLM(VanillaDecoderConfig(**sizes)).save_pretrained(small)
    recipe = adaptation_recipe(small, domain, tmp_path / "out")
    with pytest.raises(ValueError, match=r"(?s)small.*tokenizer\.path"):
        run_adaptation(recipe)
    recipe = adaptation_recipe(small, domain, tmp_path / "out", f"tokenizer.path={causal_base}")
    with pytest.raises(ValueError, match=r"30.*tokenizer\.path"):
        run_adaptation(recipe)
    assert not (tmp_path / "out").exists()


def test_a_model_without_its_head_is_not_a_base_model(masked_base, domain, tmp_path):
    VanillaEncoderForSequenceClassification.from_pretrained(masked_base).save_pretrained(tmp_path / "classifier")
    AutoTokenizer.from_pretrained(masked_base).save_pretrained(tmp_path / "classifier")
    with pytest.raises(ValueError, match=r"classifier.*lm_head.*--adaptation\.new_head true"):
        run_adaptation(adaptation_recipe(tmp_path / "classifier", domain, tmp_path / "out"))


@pytest.mark.parametrize("saved", ["by this package", "by transformers"])
def test_an_encoder_without_its_head_starts_with_a_random_one_on_request(saved, masked_base, domain, tmp_path, caplog):
    base = tmp_path / "base"
    encoder = VanillaEncoderModel.from_pretrained(masked_base)
    (encoder if saved == "by this package" else to_transformers(encoder, "bert")).save_pretrained(base)
    AutoTokenizer.from_pretrained(masked_base).save_pretrained(base)
    recipe = adaptation_recipe(base, domain, tmp_path / "out", "adaptation.new_head=true")
    model = open_language_model(recipe).model
    assert re.search(r"lm_head_transform.*head is random", caplog.text)
    for name, weight in encoder.state_dict().items():
        if "pooler" not in name:
            torch.testing.assert_close(model.state_dict()[f"model.{name}"], weight)
    again = open_language_model(recipe).model
    torch.testing.assert_close(model.lm_head_transform.dense.weight, again.lm_head_transform.dense.weight)
    assert model.lm_head_transform.dense.weight.std() > 0


def test_a_head_that_is_there_is_kept(masked_base, domain, tmp_path):
    recipe = adaptation_recipe(masked_base, domain, tmp_path / "out", "adaptation.new_head=true")
    model = open_language_model(recipe).model
    saved = VanillaEncoderForMaskedLM.from_pretrained(masked_base)
    torch.testing.assert_close(model.lm_head_transform.dense.weight, saved.lm_head_transform.dense.weight)


def test_a_model_with_a_second_head_is_a_base_model(masked_base, domain, general, tmp_path):
    """BERT was also trained on next sentence prediction."""
    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(masked_base)
    both = VanillaEncoderForPreTraining(config)
    both.save_pretrained(tmp_path / "both")
    AutoTokenizer.from_pretrained(masked_base).save_pretrained(tmp_path / "both")
    recipe = adaptation_recipe(tmp_path / "both", domain, tmp_path / "out")
    model = open_language_model(recipe).model
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        torch.testing.assert_close(model.eval()(input_ids=ids).logits, both.eval()(input_ids=ids).prediction_logits)


def test_a_denoising_model_is_adapted_with_its_own_objective(general, domain, tmp_path):
    model = (
        "{hidden_size: 16, intermediate_size: 32, num_attention_heads: 2, encoder_layers: 1, decoder_layers: 1, "
        "max_position_embeddings: 64}"
    )
    changes = ["task=denoising", "model.preset=tiny", f"model.config={model}", "data.max_length=24",
               "objective.mask_probability=0.4", "training.max_steps=4"]  # fmt: skip
    run_training(causal_lm_recipe(general, tmp_path / "base", *changes))
    recipe = adaptation_recipe(tmp_path / "base", domain, tmp_path / "out", "adaptation.new_words=3")
    assert (recipe.task, recipe.objective.mask_probability) == ("denoising", 0.4)
    gain = run_adaptation(recipe).metrics["adaptation"]["gain"]
    assert gain.keys() == {"domain", "general"}


def test_lineage_lists_the_base_models(adapted, causal_base, domain):
    found = lineage(adapted.folder)
    assert [ancestor.source for ancestor in found] == [str(adapted.folder), str(causal_base)]
    assert describe(found).startswith(f"`first` (causal_lm on `{domain.name}`), made from `{causal_base.name}`")


def test_gains_and_the_table_are_made_from_the_history():
    point = {"perplexity": 20.0}
    history = [
        {"when": "base model", "step": 0, "domain": {"perplexity": 40.0}, "general": {"perplexity": 10.0}},
        {"when": "training", "step": 5, "domain": point},
        {"when": "after", "step": 9, "domain": point, "general": {"perplexity": 12.0}},
    ]
    assert gains(history, "perplexity") == {"domain": 0.5, "general": pytest.approx(-0.2)}
    lines = table(history, "perplexity").splitlines()
    assert lines[0] == "|  | update | domain perplexity | general perplexity |"
    assert lines[-1] == "| after | 9 | 20 | 12 |" and lines[3] == "| training | 5 | 20 |  |"


def test_scores_of_a_text_without_words_are_finite():
    class Empty:
        tokens, words, characters = 3, 0, 0

    assert scores_of(1.0, Empty)["word_perplexity"] == pytest.approx(math.exp(3))


def test_adaptation_on_real_text(shared_data, tmp_path):
    """A base model of a few paragraphs of Brown is adapted to a few film reviews."""
    for name, source, split, rows in (("brown", "brown", "train", 150), ("imdb", "imdb", "unsupervised", 100)):
        file = str(shared_data / source / f"{split}.parquet")
        texts = datasets.load_dataset("parquet", data_files=file, split=f"train[:{rows}]")["text"]
        (tmp_path / name).mkdir()
        lines = [" ".join(text.split()) for text in texts]
        (tmp_path / name / "train.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    base_model = causal_lm_recipe(
        tmp_path / "brown", tmp_path / "base", "tokenizer.vocab_size=600", "data.max_length=48", "data.hold_out=20",
        "training.tokens_per_batch=960", "training.max_steps=60", "training.learning_rate=1e-2",
    )  # fmt: skip
    run_training(base_model)
    recipe = adaptation_recipe(
        tmp_path / "base", tmp_path / "imdb", tmp_path / "out", "adaptation.new_words=50", "adaptation.replay=0.2",
        "data.hold_out=20", "training.max_steps=60", "training.tokens_per_batch=960", "training.learning_rate=1e-2",
        "evaluation.eval_steps=20", "output.plot=true",
    )  # fmt: skip
    metrics = run_adaptation(recipe).metrics
    assert metrics["adaptation"]["gain"]["domain"] > 0.1
    assert metrics["adaptation"]["new_tokens"] == 50
    words = [word for word, _ in json.loads((tmp_path / "out" / "adaptation.json").read_text())["new_words"]]
    assert "movie" in words or "film" in words


def test_settings_are_taken_from_the_base_models_recipe(causal_base, general, tmp_path):
    """Direction and packing are kept; the first source of a mixture is the general text."""
    tree = load_recipe(causal_base).to_dict()
    tree["data"] |= {"reverse": True, "packing": True, "path": None}
    tree["data"]["mixture"] = [{"path": str(general), "weight": 2, "split": "train"}, {"path": "elsewhere"}]
    (tmp_path / "config.json").write_bytes((causal_base / "config.json").read_bytes())
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    found = base_model_settings(tmp_path)
    assert (found["task"], found["data.reverse"], found["data.packing"]) == ("causal_lm", True, True)
    assert (found["adaptation.general.path"], found["adaptation.general.train"]) == (str(general), ["train"])
    recipe = load_adaptation_recipe(tmp_path, ["data.path=reviews", "data.reverse=false"])
    assert not recipe.data.reverse and recipe.data.packing
    assert recipe.description == f"`{tmp_path.name}`, adapted to the text of `reviews`."
    assert "adaptation.general.hold_out" not in found and recipe.adaptation.general.hold_out == 200
    # If the text no longer exists at its path, there is no general text.
    tree["data"]["mixture"][0]["path"] = "gone"
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(tree))
    assert "adaptation.general.path" not in base_model_settings(tmp_path)
