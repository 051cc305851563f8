"""Language models on plain text: every objective, in memory and as a stream, interrupted and resumed."""

import signal

import pytest
import torch
from transformers import AutoTokenizer

from hf_vanilla_transformer.training import run_training
from hf_vanilla_transformer.training.batches import SeededCollator
from hf_vanilla_transformer.training.checkpoints import load_weights
from hf_vanilla_transformer.training.collators import collator
from hf_vanilla_transformer.training.corpus import encode, get_tokenizer, load_corpus
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe
from hf_vanilla_transformer.training.streaming import StreamedBatchSampler, StreamedRows
from hf_vanilla_transformer.training.text_rows import TextRows
from hf_vanilla_transformer.training.training_plan import plan

from .interruption import interrupt_at
from .test_training_run import assert_same, losses
from .toy import MODEL, causal_lm_recipe, masked_lm_recipe, toy_recipe

STREAM = ["data.streaming=true", "data.shuffle_buffer=20", "training.num_train_epochs=null"]


def encoder_decoder_recipe(task):
    def make(data, output, *overrides):
        changes = [
            f"task={task}",
            f"model.config={MODEL}",
            "data.max_length=32",
            "tokenizer={kind: byte_bpe, vocab_size: 400}",
            *(["objective.sentinels=10"] if task == "span" else []),
        ]
        return toy_recipe(data, output, *changes, *overrides)

    return make


MAKE = {
    "causal_lm": causal_lm_recipe,
    "masked_lm": masked_lm_recipe,
    "denoising": encoder_decoder_recipe("denoising"),
    "span": encoder_decoder_recipe("span"),
}


# Each task runs always with one packing; the other one is slow.
@pytest.mark.parametrize(
    ("task", "packing"),
    [
        pytest.param(task, packing, marks=() if packing == (task in ("masked_lm", "span")) else pytest.mark.slow)
        for task in MAKE
        for packing in (False, True)
    ],
)
def test_an_interrupted_stream_continues_bit_for_bit(task, packing, texts, tmp_path, monkeypatch):
    """The interruption falls within a chunk of text, within the shuffle buffer and within a pass."""
    more = [
        *STREAM,
        f"data.packing={packing}",
        "training.gradient_accumulation_steps=2",
        "training.tokens_per_batch=128",
    ]
    more += ["evaluation.eval_steps=6"]
    whole = run_training(MAKE[task](texts, tmp_path / "whole", *more))
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=7)
        stopped = run_training(MAKE[task](texts, tmp_path / "parts", *more))
    assert stopped.interrupted and stopped.steps == 7
    resumed = run_training(MAKE[task](texts, tmp_path / "parts", *more), resume=True)
    assert losses(tmp_path / "parts") == losses(tmp_path / "whole")
    assert_same(load_weights(tmp_path / "parts"), load_weights(tmp_path / "whole"))
    assert resumed.metrics["tokens"] == whole.metrics["tokens"]
    assert resumed.metrics["validation_perplexity"] == whole.metrics["validation_perplexity"]


def test_the_weights_do_not_depend_on_the_number_of_workers(texts, tmp_path, monkeypatch):
    """Batches that workers have prefetched are not lost when the run is interrupted."""
    alone = run_training(masked_lm_recipe(texts, tmp_path / "alone", *STREAM))
    with monkeypatch.context() as patch:
        interrupt_at(patch, step=5, number=signal.SIGTERM)
        run_training(masked_lm_recipe(texts, tmp_path / "two", *STREAM, "training.dataloader_num_workers=2"))
    two = run_training(
        masked_lm_recipe(texts, tmp_path / "two", *STREAM, "training.dataloader_num_workers=2"), resume=True
    )
    assert_same(load_weights(two.folder), load_weights(alone.folder))


def batches(recipe, tokenizer, processes, rank, start=None):
    """Numbers and rows of the first 40 batches of a process."""
    made = StreamedBatchSampler(StreamedRows(recipe, tokenizer), 40, rank=rank, processes=processes)
    if start is not None:
        made.load_state_dict(start)
    return made, iter(made)


def test_processes_share_a_stream_without_overlap(texts, tmp_path):
    recipe = causal_lm_recipe(texts, tmp_path, *STREAM)
    tokenizer = get_tokenizer(recipe, load_corpus(recipe))
    _, alone = batches(recipe, tokenizer, 1, 0)
    expected = [[row["input_ids"].tolist() for row in batch] for batch in alone]
    several = [batches(recipe, tokenizer, 3, rank)[1] for rank in range(3)]
    found = [[row["input_ids"].tolist() for row in next(several[number % 3])] for number in range(39)]
    assert found == expected[:39]


@pytest.mark.parametrize("ahead", [0, 1, 3])
def test_batches_made_ahead_are_part_of_the_state(ahead, texts, tmp_path):
    recipe = causal_lm_recipe(texts, tmp_path, *STREAM)
    tokenizer = get_tokenizer(recipe, load_corpus(recipe))
    made, iterator = batches(recipe, tokenizer, 2, 0)
    expected = [[row["input_ids"].tolist() for row in next(iterator)] for _ in range(10 + ahead)][10:]
    state = made.state_dict(used=10)
    expected += [[row["input_ids"].tolist() for row in next(iterator)] for _ in range(20 - ahead)]
    _, resumed = batches(recipe, tokenizer, 2, 0, state)
    skipped = [next(resumed) for _ in range(10)]
    assert not any(skipped) and [batch.number for batch in skipped] == list(range(10))
    found = [next(resumed) for _ in range(20)]
    assert [batch.number for batch in found] == list(range(10, 30))
    assert [[row["input_ids"].tolist() for row in batch] for batch in found] == expected


def test_a_mixture_trains_on_all_sources(texts, pairs, tmp_path):
    mixture = f"data.mixture=[{{path: {texts}, weight: 1}}, {{path: {texts / 'train.txt'}, weight: 3}}]"
    recipe = masked_lm_recipe(texts, tmp_path / "run", mixture, "data.path=null", "evaluation.eval_steps=6",
                              "data.shuffle_buffer=50")  # fmt: skip
    result = run_training(recipe)
    assert result.steps == 12 and result.metrics["validation_loss"] > 0, "validation text comes from the first source"
    planned = plan(recipe)
    assert "25.0% of the tokens, streamed" in planned and "75.0%" in planned
    assert "activations of the largest batch" in planned


def test_a_single_file_can_hold_out_its_own_validation_text(texts, tmp_path):
    lines = (texts / "train.txt").read_text().splitlines()
    for extra in ([], STREAM):
        recipe = causal_lm_recipe(texts / "train.txt", tmp_path / "run", "data.hold_out=7", "data.max_rows=40", *extra)
        corpus = load_corpus(recipe)
        assert corpus.validation["text"] == lines[:7]
        if not extra:
            assert corpus.train["text"] == lines[7:47]
            tokenizer = get_tokenizer(recipe, corpus)
        rows = StreamedRows(recipe, tokenizer, corpus.held_out).mixture.sources[0].texts
        assert next(rows) == lines[7:47]
    assert len(load_corpus(recipe, ["validation"]).validation) == 7


def test_a_stream_makes_the_same_rows_as_text_in_memory(texts, tmp_path):
    recipe = causal_lm_recipe(texts, tmp_path, "data.streaming=true", "data.shuffle_buffer=1")
    tokenizer = get_tokenizer(recipe, load_corpus(recipe))
    streamed = StreamedRows(recipe, tokenizer).mixture
    in_memory = causal_lm_recipe(texts, tmp_path)
    rows = encode(in_memory, tokenizer, load_corpus(in_memory).train, training=True)
    full = [ids.tolist() for ids in rows.columns["input_ids"] if len(ids) == 32]
    assert [next(streamed).tolist() for _ in full] == full


def test_every_document_has_a_start_and_an_end_token(texts, tmp_path):
    recipe = causal_lm_recipe(texts, tmp_path)
    corpus = load_corpus(recipe)
    tokenizer = get_tokenizer(recipe, corpus)
    ids = encode(recipe, tokenizer, corpus.train, training=True).columns["input_ids"].ids
    assert (ids == tokenizer.eos_token_id).sum() == (ids == tokenizer.bos_token_id).sum() == len(corpus.train)


def test_a_backward_language_model_reverses_texts_between_their_special_tokens(texts, tmp_path):
    forward, backward = (causal_lm_recipe(texts, tmp_path, f"data.reverse={reverse}") for reverse in ("false", "true"))
    tokenizer = get_tokenizer(forward, load_corpus(forward))
    (there,), (back,) = (TextRows(recipe, tokenizer).ids(["a bad cab"]) for recipe in (forward, backward))
    assert [there[0], there[-1]] == [back[0], back[-1]] == [tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert back[1:-1] == there[1:-1][::-1] and len(there) > 4
    run_training(causal_lm_recipe(texts, tmp_path / "run", "data.reverse=true", *STREAM))
    assert load_recipe(tmp_path / "run").data.reverse is True


@pytest.mark.parametrize(("task", "token"), [("denoising", "<mask>"), ("span", "<extra_id_9>")])
def test_the_tokens_of_the_objective_are_part_of_the_vocabulary(task, token, texts, tmp_path):
    result = run_training(MAKE[task](texts, tmp_path / "run"))
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "run")
    assert token in tokenizer.get_vocab() and len(tokenizer) == result.model.config.vocab_size <= 400
    assert (tokenizer.mask_token == "<mask>") == (task == "denoising")


def test_a_translation_model_gets_the_tokens_of_a_new_objective(texts, pairs, tmp_path):
    base = run_training(toy_recipe(pairs, tmp_path / "base"))
    before = base.model.get_input_embeddings().weight.clone()
    recipe = MAKE["span"](texts, tmp_path / "run", f"model.start_from={tmp_path / 'base'}", "training.max_steps=1")
    model = run_training(recipe).model
    assert model.config.vocab_size == len(before) + 10
    # One update at the start of the warm-up changes weights little.
    torch.testing.assert_close(model.get_input_embeddings().weight[: len(before)], before, atol=0.01, rtol=0)


@pytest.mark.parametrize("unit", ["token", "whole_word", "span"])
@pytest.mark.parametrize("replacement", ["bert", "all"])
def test_masking_follows_the_recipe(unit, replacement, texts, tmp_path):
    recipe = masked_lm_recipe(
        texts, tmp_path, f"objective.unit={unit}", f"objective.replacement={replacement}", "data.packing=true",
        "objective.mask_probability=0.4",
    )  # fmt: skip
    corpus = load_corpus(recipe)
    tokenizer = get_tokenizer(recipe, corpus)
    rows = encode(recipe, tokenizer, corpus.train, training=True)
    batch = SeededCollator(collator(recipe, tokenizer), 0)(rows.batch(range(len(rows)), 0))
    predicted = batch["labels"] != -100
    masked = (batch["input_ids"] == tokenizer.mask_token_id)[predicted].float().mean()
    assert masked == 1 if replacement == "all" else 0.5 < masked < 1
    kept = batch["attention_mask"] == 1 if "attention_mask" in batch else torch.ones_like(predicted)
    assert predicted.sum() / (kept.sum() - 2 * len(rows)) == pytest.approx(0.4, abs=0.1)


@pytest.mark.parametrize(
    ("task", "overrides", "message"),
    [
        ("causal_lm", ["objective.mask_probability=0.2"], r"objective\.mask_probability=0\.2.*masked_lm"),
        ("causal_lm", ["objective.unit=span"], r"objective\.unit='span'.*masked_lm"),
        ("masked_lm", ["objective.permute_sentences=false"], r"objective\.permute_sentences.*denoising"),
        ("masked_lm", ["objective.unit=word"], r"objective\.unit.*'token', 'whole_word', 'span'"),
        ("masked_lm", ["objective.mask_probability=0"], r"objective\.mask_probability.*\(0, 1\]"),
        ("masked_lm", ["objective.mean_span_length=3"], r"objective\.mean_span_length.*objective\.unit='span'"),
        ("masked_lm", ["objective.unit=span", "objective.mean_span_length=6"], r"objective\.mean_span_length.*5\.5"),
        ("span", ["objective.mask_probability=0.6"], r"objective\.mask_probability.*\(0, 0\.5\]"),
        ("span", ["objective.sentinels=0"], r"objective\.sentinels.*at least 1"),
        ("denoising", ["objective.mean_span_length=0.5"], r"objective\.mean_span_length.*at least 1"),
        ("masked_lm", ["data.reverse=true"], r"data\.reverse.*task='causal_lm'"),
        ("masked_lm", ["training.mask_probability=0.2"], r"training\.mask_probability .* objective\.mask_probability"),
        ("causal_lm", ["data.streaming=true", "training.num_train_epochs=2"], r"training\.num_train_epochs.*stream"),
        ("causal_lm", ["data.mixture=[{weight: 1}]"], r"data\.mixture\[0\].*path"),
        ("causal_lm", ["data.mixture=[{path: a, weigth: 1}]"], "'weigth'.*'weight'"),
        ("causal_lm", ["data.mixture=[{path: a}, {path: b, weight: 0}]"], r"data\.mixture\[1\]\.weight.*0"),
        ("causal_lm", ["data.mixture=[{path: a, sample_by: page}]"], "sample_by.*line, paragraph or document"),
        ("causal_lm", ["data.mixture=[a.txt]"], r"data\.mixture\[0\].*a\.txt"),
        ("causal_lm", ["data.shuffle_buffer=0"], r"data\.shuffle_buffer.*at least 1"),
    ],
)
def test_fields_that_do_not_fit_are_refused_when_the_recipe_is_made(task, overrides, message, texts, tmp_path):
    with pytest.raises(ValueError, match=message):
        MAKE[task](texts, tmp_path / "run", *overrides)


@pytest.mark.parametrize(
    ("task", "overrides", "message"),
    [
        ("causal_lm", ["data.mixture=[{path: no/such/file.txt}]"], "no/such/file.txt"),
        ("causal_lm", ["data.mixture=[{path: TEXTS, split: training}]", "data.path=TEXTS"], "'training'"),
        ("causal_lm", ["evaluation.eval_steps=3", "data.path=TEXTS/train.txt"], "data.hold_out"),
        ("span", ["objective.sentinels=400"], r"tokenizer\.vocab_size.*objective\.sentinels"),
        ("causal_lm", ["data.hold_out=60", "data.path=TEXTS/train.txt"], r"data\.hold_out=60"),
    ],
)
def test_text_that_does_not_fit_is_refused_before_anything_is_written(task, overrides, message, texts, tmp_path):
    overrides = [override.replace("TEXTS", str(texts)) for override in overrides]
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        run_training(MAKE[task](texts, tmp_path / "run", *overrides))
    assert not (tmp_path / "run").exists()


def test_a_resume_with_another_objective_or_mixture_is_refused(texts, tmp_path):
    run_training(masked_lm_recipe(texts, tmp_path / "run", "checkpoint.save_steps=6", *STREAM))
    for change, message in (("objective.unit=span", r"objective\.unit .*'span'"),
                            ("data.shuffle_buffer=21", r"data\.shuffle_buffer .*21")):  # fmt: skip
        changed = masked_lm_recipe(texts, tmp_path / "run", "checkpoint.save_steps=6", *STREAM, change)
        with pytest.raises(ValueError, match=message):
            run_training(changed, resume=True)
