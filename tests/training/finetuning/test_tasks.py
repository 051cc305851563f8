"""Each task: training, predictions, errors, and loading the saved model by its pipeline."""

import json

import pytest
import torch
from datasets import Dataset
from transformers import AutoModelForMultipleChoice, AutoTokenizer, BertConfig, BertForMaskedLM, pipeline

import hf_vanilla_transformer as vanilla
from hf_vanilla_transformer.training.checkpoints import load_weights
from hf_vanilla_transformer.training.finetuning.finetuning_run import FinetuningRun, run_finetuning
from hf_vanilla_transformer.training.finetuning.tasks import TASKS, make_task

from ...tiny_models import randomised, tiny_folder

CONTEXTS = ["Paris is the capital of France.", "The old man reads a book near the river."]


def json_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return str(path)


def test_every_task_has_a_name_stacks_and_a_main_metric(small_recipe, masked_lm):
    for name in TASKS:
        task = make_task(small_recipe(masked_lm, task=name))
        assert task.name == name and task.stacks and task.main_metric


@pytest.mark.parametrize("base_model", ["masked_lm", "causal_lm"])
def test_multi_label_classification(base_model, small_recipe, tmp_path, request):
    rows = [
        {"text": "good film", "label": ["film", "good"]},
        {"text": "bad", "label": []},
        {"text": "good", "label": ["good"]},
    ]
    data = json_lines(tmp_path / "rows.jsonl", rows * 8)
    result = run_finetuning(
        small_recipe(request.getfixturevalue(base_model), data__path=data, head__problem="multi_label")
    )
    assert {"validation_f1", "validation_f1_macro", "validation_accuracy", "validation_loss"} <= result.metrics.keys()
    assert result.model.config.problem_type == "multi_label_classification"
    answers = pipeline("text-classification", model=str(result.folder / "model"), top_k=None)(["good film"])[0]
    assert {answer["label"] for answer in answers} == {"film", "good"}
    one = result.predictions["validation"][0]
    assert set(one.probabilities) == {"film", "good"} and isinstance(one.predicted, list)


def test_regression(masked_lm, small_recipe, tmp_path):
    data = json_lines(tmp_path / "rows.jsonl", [{"text": "good " * n, "label": n / 4} for n in range(1, 9)] * 4)
    result = run_finetuning(
        small_recipe(
            masked_lm, data__path=data, head__problem="regression", rates__learning_rate=1e-2,
            rates__layerwise_lr_decay=1.2,
            training__num_train_epochs=20, head__pooling="mean",
            evaluation__eval_steps=1000, checkpoint__save_steps=1000,
        )
    )  # fmt: skip
    assert result.metrics["validation_pearson"] > 0.7
    assert result.metrics["validation_loss"] == pytest.approx(result.metrics["validation_mse"])


def test_classification_of_pairs_of_texts(masked_lm, small_recipe, tmp_path):
    rows = [
        {"first": "good film", "second": "good", "label": "same"},
        {"first": "bad", "second": "good", "label": "other"},
    ]
    data = json_lines(tmp_path / "rows.jsonl", rows * 8)
    recipe = small_recipe(masked_lm, data__path=data, data__text="first", data__text_pair="second")
    prepared = FinetuningRun.prepare(recipe)
    row = prepared.train_rows[0]
    tokenizer = prepared.base_model.tokenizer
    text = prepared.splits.train[0]
    assert row["input_ids"] == tokenizer(text["text"], text["text_pair"])["input_ids"]
    assert set(row["token_type_ids"]) == {0, 1}
    assert run_finetuning(recipe).predictions["validation"][0].text in (["good film", "good"], ["bad", "good"])


@pytest.mark.parametrize("base_model", ["masked_lm", "causal_lm"])
def test_question_answering(base_model, small_recipe, tmp_path, request):
    rows = [
        {
            "question": "what is the capital?",
            "context": CONTEXTS[0],
            "answers": {"text": ["Paris"], "answer_start": [0]},
        },
        {"question": "who reads?", "context": CONTEXTS[1], "answers": {"text": ["old man"], "answer_start": [4]}},
        {"question": "who reads?", "context": CONTEXTS[1], "answers": {"text": ["old man"], "answer_start": [5]}},
    ]
    data = json_lines(tmp_path / "rows.jsonl", rows * 8)
    recipe = small_recipe(
        request.getfixturevalue(base_model), task="question_answering", data__path=data, rates__learning_rate=2e-2,
        rates__layerwise_lr_decay=1.2, training__num_train_epochs=25, text_length__max_tokens=64,
        evaluation__eval_steps=1000, checkpoint__save_steps=1000,
    )  # fmt: skip
    result = run_finetuning(recipe)
    assert result.metrics["validation_exact_match"] == 1.0 and result.metrics["validation_f1"] == 1.0
    notes = json.loads((result.folder / "notes.json").read_text())
    assert any("answer not at its offset" in note for note in notes)
    answer = pipeline("question-answering", model=str(result.folder / "model"))(
        question="who reads?", context=CONTEXTS[1]
    )
    one = next(one for one in result.predictions["validation"] if one.text[0] == "who reads?")
    assert (answer["answer"], answer["start"]) == (one.predicted, one.extra["start"]) == ("old man", 4)
    assert answer["score"] == pytest.approx(one.probability, rel=1e-3)


@pytest.mark.parametrize("may_be_none", [False, True])
@pytest.mark.parametrize("base_model", ["masked_lm", "causal_lm"])
def test_answers_over_windows_equal_those_of_the_pipeline(base_model, may_be_none, small_recipe, tmp_path, request):
    folder = request.getfixturevalue(base_model)
    context = " ".join(CONTEXTS * 4)
    rows = [{"question": "who reads?", "context": context, "answers": {"text": ["Paris"], "answer_start": [0]}}] * 4
    rows += [{"question": "why?", "context": context, "answers": {"text": [], "answer_start": []}}] * 4 * may_be_none
    data = json_lines(tmp_path / "rows.jsonl", rows)
    recipe = small_recipe(
        folder, task="question_answering", data__path=data, text_length__max_tokens=40, text_length__overlap=10,
        data__validation_part=0.0,
    )  # fmt: skip
    prepared = FinetuningRun.prepare(recipe)
    # One window per passage contains the answer; if questions may have no answer, all windows are kept.
    assert (len(prepared.train_rows) == 4) != may_be_none
    model = randomised(prepared.model)
    predictions = prepared.task.predict(model, prepared.base_model.tokenizer, prepared.splits.train)
    ask = pipeline("question-answering", model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
    for one in predictions:
        answer = ask(
            question=one.text[0], context=one.text[1], max_seq_len=40, doc_stride=10,
            handle_impossible_answer=may_be_none,
        )  # fmt: skip
        assert one.extra["windows"] > 1
        assert answer["answer"] == one.predicted and answer["score"] == pytest.approx(one.probability, rel=1e-4)
        assert answer["start"] == one.extra["start"] or one.predicted == ""
    recipe.text_length.too_long = "refuse"
    with pytest.raises(ValueError, match=r"40 tokens.*text_length\.too_long"):
        FinetuningRun.prepare(recipe)


def test_multiple_choice(masked_lm, small_recipe, tmp_path):
    rows = [
        {"question": "the capital", "choices": ["Paris", "river"], "label": "A"},
        {"question": "the water", "choices": ["book", "river"], "label": 1},
        {"question": "the water", "choices": ["book"], "label": 0},
        {"question": "the water", "choices": ["book", "sea"], "label": 5},
    ]
    data = json_lines(tmp_path / "rows.jsonl", rows[:1] * 9)
    recipe = small_recipe(masked_lm, task="multiple_choice", data__path=data, rates__learning_rate=1e-2)
    result = run_finetuning(recipe)
    assert result.metrics["validation_accuracy"] == 1.0
    one = result.predictions["validation"][0]
    assert one.gold == "Paris" and sum(one.extra["probabilities"]) == pytest.approx(1)
    assert any("choice 1 is the correct one" in note for note in json.loads((result.folder / "notes.json").read_text()))
    model = AutoModelForMultipleChoice.from_pretrained(result.folder / "model").eval()
    tokenizer = result.tokenizer
    batch = tokenizer(["the capital"] * 2, ["Paris", "river"], return_tensors="pt", padding=True)
    logits = model(**{name: value[None] for name, value in batch.items()}).logits[0]
    torch.testing.assert_close(logits.double().softmax(-1).tolist(), one.extra["probabilities"], rtol=1e-4, atol=1e-5)

    mixed = json_lines(tmp_path / "mixed.jsonl", rows)
    prepared = FinetuningRun.prepare(
        small_recipe(masked_lm, task="multiple_choice", data__path=mixed, data__validation_part=0.0)
    )
    assert len(prepared.splits.train) == 2 and prepared.splits.reports[0].skipped == 2
    uneven = json_lines(tmp_path / "uneven.jsonl", [*rows[:2], {"question": "x", "choices": list("abc"), "label": 2}])
    with pytest.raises(ValueError, match=r"data\.choices.*2.*3"):
        FinetuningRun.prepare(
            small_recipe(masked_lm, task="multiple_choice", data__path=uneven, data__validation_part=0.0)
        )


def test_sequence_to_sequence(seq2seq, small_recipe, tmp_path):
    rows = [
        {"article": "the old man reads a book", "summary": "old man"},
        {"article": "two dogs run", "summary": "dogs"},
    ]
    data = json_lines(tmp_path / "rows.jsonl", rows * 8)
    recipe = small_recipe(
        seq2seq, task="sequence_to_sequence", data__path=data, data__source="article", data__target="summary",
        text_length__max_target_tokens=12, rates__learning_rate=3e-2, rates__layerwise_lr_decay=1.2,
        training__num_train_epochs=15,
        evaluation__num_beams=2, evaluation__eval_steps=1000, checkpoint__save_steps=1000,
    )  # fmt: skip
    result = run_finetuning(recipe)
    assert {"validation_chrf", "validation_bleu", "validation_rougeL"} <= result.metrics.keys()
    history = [json.loads(line) for line in (result.folder / "metrics.jsonl").read_text().splitlines()]
    assert any("eval_loss" in record for record in history)
    one = result.predictions["validation"][0]
    generate = pipeline("text2text-generation", model=str(result.folder / "model"))
    assert generate.model.generation_config.max_new_tokens == 12
    assert generate(one.text)[0]["generated_text"] == one.predicted
    with pytest.raises(ValueError, match=r"text_length\.too_long.*sequence_to_sequence"):
        FinetuningRun.prepare(
            small_recipe(seq2seq, task="sequence_to_sequence", data__path=data, text_length__too_long="window")
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """An encoder and a decoder of the same shape with one tokenizer."""
    encoder = tiny_folder(
        tmp_path_factory.mktemp("left"), "encoder", layernorm_embedding=True,
        norm_first=True, layer_norm_eps=1e-5, hidden_act="gelu",
    )  # fmt: skip
    decoder = tmp_path_factory.mktemp("right")
    tokenizer = AutoTokenizer.from_pretrained(encoder)
    config = vanilla.VanillaDecoderConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_attention_heads=2, intermediate_size=32, num_hidden_layers=2,
        max_position_embeddings=64, layernorm_embedding=True, layer_norm_eps=1e-5, hidden_act="gelu", pad_token_id=0,
        bos_token_id=None, eos_token_id=None,
    )  # fmt: skip
    torch.manual_seed(1)
    randomised(vanilla.VanillaDecoderForCausalLM(config)).save_pretrained(decoder)
    tokenizer.save_pretrained(decoder)
    return encoder, decoder


def test_an_encoder_and_a_decoder_are_combined_in_one_model(pair, small_recipe, tmp_path):
    encoder, decoder = pair
    rows = [{"source": "the old man", "target": "old man"}, {"source": "two dogs run", "target": "dogs"}]
    data = json_lines(tmp_path / "rows.jsonl", rows * 8)
    fields = {"task": "sequence_to_sequence", "data__path": data, "text_length__max_target_tokens": 8}
    recipe = small_recipe(encoder, decoder_base_model=str(decoder), rates__layerwise_lr_decay=2.6, **fields)
    prepared = FinetuningRun.prepare(recipe)
    model = prepared.model
    ids = torch.tensor([[5, 6, 7]])
    left = vanilla.VanillaEncoderModel.from_pretrained(encoder).eval()
    right = vanilla.VanillaDecoderModel.from_pretrained(decoder).eval()
    model.eval()
    torch.testing.assert_close(model.get_encoder()(ids).last_hidden_state, left(ids).last_hidden_state)
    for name, value in right.named_parameters():
        torch.testing.assert_close(model.model.decoder.get_parameter(name), value)
    assert model.lm_head.weight is model.model.decoder.embed_tokens.weight
    assert not model.model.decoder.embed_token_types.weight.any()
    row = prepared.train_rows[0]
    tokenizer = prepared.base_model.tokenizer
    assert row["labels"][-1] == tokenizer.sep_token_id and row["labels"][0] != tokenizer.cls_token_id
    result = run_finetuning(recipe)
    rates = json.loads((result.folder / "trainable.json").read_text())[0]["learning_rates"]
    assert rates["head"] > rates["layer 1"]
    pipeline("text2text-generation", model=str(result.folder / "model"))("two dogs run")

    with pytest.raises(ValueError, match="decoder_base_model=FOLDER"):
        FinetuningRun.prepare(small_recipe(encoder, **fields))
    with pytest.raises(ValueError, match="decoder_base_model="):
        FinetuningRun.prepare(small_recipe(encoder, decoder_base_model=str(encoder), **fields))


def test_an_encoder_and_a_decoder_that_do_not_match_are_refused(masked_lm, causal_lm, pair, small_recipe, tmp_path):
    data = json_lines(tmp_path / "rows.jsonl", [{"source": "a", "target": "b"}] * 8)
    fields = {"task": "sequence_to_sequence", "data__path": data, "data__validation_part": 0.0}
    fields["text_length__max_target_tokens"] = 8
    with pytest.raises(ValueError, match=r"decoder_base_model=.*tokenizer\.path"):
        FinetuningRun.prepare(small_recipe(masked_lm, decoder_base_model=str(causal_lm), **fields))
    with pytest.raises(ValueError, match=r"norm_first.*True.*False"):
        FinetuningRun.prepare(small_recipe(masked_lm, decoder_base_model=str(pair[1]), **fields))


def test_classification_with_a_forward_and_a_backward_model(causal_lm, small_recipe, tmp_path):
    backward = tmp_path / "backward"
    model = vanilla.VanillaDecoderForCausalLM.from_pretrained(causal_lm)
    torch.manual_seed(5)
    randomised(model).save_pretrained(backward)
    AutoTokenizer.from_pretrained(causal_lm).save_pretrained(backward)
    (backward / "recipe.yaml").write_text("task: causal_lm\ndata: {reverse: true, path: books}\n", encoding="utf-8")

    fields = {"training__num_train_epochs": 2, "head__pooling": "concat", "rates__learning_rate": 1e-2}
    result = run_finetuning(small_recipe(causal_lm, backward_base_model=str(backward), **fields))
    assert result.model.config.classifier_direction == "both"
    trained = load_weights(result.folder / "model")
    name = "layers.0.mlp.fc1.weight"
    for prefix, folder in (("model", causal_lm), ("backward_model", backward)):
        before = load_weights(folder)[f"model.{name}"]
        assert 0 < (trained[f"{prefix}.{name}"] - before).abs().max() < 0.05
    answers = pipeline("text-classification", model=str(result.folder / "model"), top_k=None)(["a good film"])[0]
    one = next(one for one in result.predictions["test"] if one.text == "a good film")
    assert {answer["label"]: pytest.approx(answer["score"], rel=1e-3) for answer in answers} == one.probabilities

    alone = FinetuningRun.prepare(small_recipe(backward, **fields))
    assert alone.model.config.classifier_direction == "backward"
    with pytest.raises(ValueError, match="task: question_answering"):
        FinetuningRun.prepare(small_recipe(backward, task="question_answering", data__path=_squad(tmp_path)))
    with pytest.raises(ValueError, match="backward"):
        FinetuningRun.prepare(small_recipe(backward, backward_base_model=str(causal_lm)))
    (backward / "recipe.yaml").write_text("task: causal_lm\ndata: {reverse: false}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"backward_base_model=.*data\.reverse"):
        FinetuningRun.prepare(small_recipe(causal_lm, backward_base_model=str(backward)))


def _squad(folder):
    row = {"question": "what?", "context": CONTEXTS[0], "answers": {"text": ["Paris"], "answer_start": [0]}}
    return json_lines(folder / "squad.jsonl", [row] * 8)


def test_a_backward_base_model_that_does_not_match_is_refused(causal_lm, masked_lm, small_recipe, tmp_path):
    with pytest.raises(ValueError, match=r"backward_base_model=.*encoder"):
        FinetuningRun.prepare(small_recipe(masked_lm, backward_base_model=str(causal_lm)))
    with pytest.raises(ValueError, match="backward_base_model="):
        FinetuningRun.prepare(small_recipe(causal_lm, backward_base_model=str(masked_lm)))
    config = vanilla.VanillaDecoderConfig.from_pretrained(causal_lm)
    config.num_hidden_layers = 1
    vanilla.VanillaDecoderForCausalLM(config).save_pretrained(tmp_path / "short")
    AutoTokenizer.from_pretrained(causal_lm).save_pretrained(tmp_path / "short")
    with pytest.raises(ValueError, match=r"num_hidden_layers.*1.*2"):
        FinetuningRun.prepare(small_recipe(causal_lm, backward_base_model=str(tmp_path / "short")))


def test_a_transformers_model_is_a_base_model(small_recipe, tmp_path, masked_lm):
    tokenizer = AutoTokenizer.from_pretrained(masked_lm)
    torch.manual_seed(0)
    reference = BertForMaskedLM(
        BertConfig(vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2,
                   intermediate_size=32, max_position_embeddings=64)
    ).eval()  # fmt: skip
    reference.save_pretrained(tmp_path / "bert")
    tokenizer.save_pretrained(tmp_path / "bert")
    prepared = FinetuningRun.prepare(small_recipe(tmp_path / "bert", head__pooling="mean"))
    ids = torch.tensor([[2, 7, 8, 3]])
    torch.testing.assert_close(
        prepared.model.eval().model(ids).last_hidden_state, reference.bert(ids).last_hidden_state, rtol=1e-4, atol=1e-5
    )
    assert run_finetuning(small_recipe(tmp_path / "bert")).metrics["test_accuracy"] >= 0


def test_dropout_for_a_head_without_dropout_is_refused(masked_lm, causal_lm, seq2seq, small_recipe, tmp_path):
    rows = [{"text": f"{n} old", "label": n % 2, "source": "a dog", "target": "dog"} for n in range(8)]
    data = json_lines(tmp_path / "rows.jsonl", rows)
    FinetuningRun.prepare(small_recipe(masked_lm, data__path=data, head__dropout=0.3))
    with pytest.raises(ValueError, match=r"head\.dropout=0\.3.*DecoderForSequenceClassification"):
        FinetuningRun.prepare(small_recipe(causal_lm, data__path=data, head__dropout=0.3))
    with pytest.raises(ValueError, match=r"head\.dropout=0\.3.*ConditionalGeneration"):
        FinetuningRun.prepare(small_recipe(seq2seq, data__path=data, head__dropout=0.3, task="sequence_to_sequence"))


def test_numbers_are_labels_of_classes(masked_lm, small_recipe, tmp_path):
    rows = Dataset.from_dict({"text": ["good", "bad"] * 8, "label": [1, 0] * 8})
    rows.to_parquet(tmp_path / "train.parquet")
    prepared = FinetuningRun.prepare(small_recipe(masked_lm, data__path=str(tmp_path)))
    assert prepared.model.config.id2label == {0: "0", 1: "1"}


def test_the_columns_are_those_of_the_training_split(masked_lm, small_recipe, tmp_path):
    (tmp_path / "train.csv").write_text(
        "id,text,target\n1,good film,pos\n2,bad film,neg\n3,good,pos\n4,bad,neg\n", encoding="utf-8"
    )
    (tmp_path / "test.csv").write_text("id,text\n3,a film\n4,another film\n", encoding="utf-8")
    recipe = small_recipe(masked_lm, data__path=str(tmp_path))
    with pytest.raises(ValueError, match=r"test\.csv.*'target'.*data\.test to \[\]"):
        make_task(recipe).load()
    splits = make_task(
        small_recipe(masked_lm, data__path=str(tmp_path), data__test=[], data__validation_part=0.5)
    ).load()
    assert splits.test is None and splits.reports[0].columns == ("text", "target")
