"""Model cards: content in card.yaml, changes of fields, local paths, metadata for the Hub."""

import pytest
import transformers
import yaml
from huggingface_hub import ModelCard

from hf_vanilla_transformer import VanillaEncoderForDependencyParsing, VanillaEncoderModel
from hf_vanilla_transformer.hub import ModelCardText, export_folder, load_card_text, read_card_text, write_card
from hf_vanilla_transformer.hub.card_text import card_text_of_recipe, changed_card_text, save_card_text
from hf_vanilla_transformer.hub.local_paths import strip_command, strip_path, strip_recipe
from hf_vanilla_transformer.hub.model_use import example_for, use_of
from hf_vanilla_transformer.hub.run_record import Score, read_results, scores, training_facts

from ..tiny_models import tiny_config
from .tiny import model_for, tokenizer_for

RECIPE = {
    "task": "translation",
    "description": "Small\nand good.",
    "model": {"start_from": "someone/base"},
    "data": {"path": "someone/corpus", "source": "en", "target": "de", "config": "raw"},
}


def test_card_content_is_saved_and_loaded(tmp_path):
    text = ModelCardText(name="a/b", languages=("en", "de"), license="mit", example="Ein Satz.", tags=("x",))
    save_card_text(tmp_path / "card.yaml", text)
    assert load_card_text(tmp_path / "card.yaml") == text
    assert set(yaml.safe_load((tmp_path / "card.yaml").read_text())) == {
        "name",
        "languages",
        "license",
        "example",
        "tags",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1", r"card\.yaml is not valid YAML"),
        ("- a", r"card\.yaml must be a mapping"),
        ("summary: no name", "must be a mapping .* name"),
        ("{name: a, colour: red}", "key 'colour'"),
        ("{name: a, languages: en}", "languages='en' .* list"),
        ("{name: a, date: 2026-11-21}", r"date=datetime\.date\(2026, 11, 21\) .* quotes"),
    ],
)
def test_invalid_card_content_is_named(tmp_path, content, message):
    (tmp_path / "card.yaml").write_text(content)
    with pytest.raises(ValueError, match=message):
        load_card_text(tmp_path / "card.yaml")


def test_card_content_is_changed_by_field():
    text = changed_card_text(ModelCardText(name="a"), ["summary=b = c", "languages=en, de"])
    assert (text.summary, text.languages) == ("b = c", ("en", "de"))
    for wrong in ("summary", "colour=red"):
        with pytest.raises(ValueError, match=f"'{wrong}'.*FIELD=VALUE"):
            changed_card_text(text, [wrong])


def test_a_recipe_gives_only_known_facts(tmp_path, monkeypatch):
    ended = card_text_of_recipe(RECIPE, "m", tested=True, run_ended=True)
    assert (ended.datasets, ended.base_model) == (("someone/corpus",), "someone/base")
    assert ended.data == "`someone/corpus`, configuration `raw`" and ended.test_data.startswith("the test split")
    assert ended.summary == "Small and good." and ended.languages == ("en", "de")
    later = card_text_of_recipe(RECIPE, "m")
    assert (later.datasets, later.base_model, later.test_data) == ((), None, "")
    # The same names mean local folders if these exist.
    monkeypatch.chdir(tmp_path)
    for name in ("corpus", "base"):
        (tmp_path / "someone" / name).mkdir(parents=True)
    folders = card_text_of_recipe(RECIPE, "m", run_ended=True)
    assert (folders.datasets, folders.base_model) == ((), "base")


@pytest.mark.parametrize(
    ("path", "stripped"),
    [
        ("/home/me/corpus", "corpus"),
        ("~/runs/tiny/", "tiny"),
        ("../data", "data"),
        ("C:\\data\\multi30k", "multi30k"),
        ("someone/corpus", "someone/corpus"),
        ("adam", "adam"),
        ("/ and / are slashes", "/ and / are slashes"),
    ],
)
def test_local_paths_are_stripped(path, stripped):
    assert strip_path(path) == stripped


def test_only_local_paths_are_stripped_from_commands_and_recipes():
    assert strip_command("hf-vanilla train --output=/home/me/x 'a b'") == "hf-vanilla train --output=x 'a b'"
    assert strip_command("train  --data.path here") == "train  --data.path here"
    recipe = "data: {path: corpus}   # as it was\n"
    assert strip_recipe(recipe) == recipe
    assert yaml.safe_load(strip_recipe("{data: {path: /a/b, train: [/c/d]}, steps: 3}")) == {
        "data": {"path": "b", "train": ["d"]},
        "steps": 3,
    }


def test_scores_and_facts_of_a_run(tmp_path):
    results = {
        "validation_bleu": 1.0,
        "test_bleu": 2.0,
        "test_bleu_signature": "s",
        "accuracy": 0.5,
        "steps": 1000,
        "training_seconds": 61.0,
        "weights": "last",
        "finished": "2026-11-21",
    }
    assert scores(results) == [
        Score("bleu", 2.0, "test", "s"),
        Score("bleu", 1.0, "validation"),
        Score("accuracy", 0.5),
    ]
    facts = training_facts(results, "one machine")
    assert facts["updates"] == "1,000" and facts["training time"] == "1 min 01 s"
    assert facts["hardware"] == "one machine" and facts["finished"] == "2026-11-21"
    assert read_results(tmp_path) is None
    for content, message in (("{", r"results\.json is not valid JSON"), ("[]", r"results\.json .*not list")):
        (tmp_path / "results.json").write_text(content)
        with pytest.raises(ValueError, match=message):
            read_results(tmp_path)


def test_card_content_of_a_folder_comes_from_its_export_or_its_recipe(tmp_path):
    (tmp_path / "recipe.yaml").write_text("task: causal_lm\ndescription: Small.\n")
    assert read_card_text(tmp_path) == ModelCardText(name=tmp_path.name, summary="Small.")
    (tmp_path / "model").mkdir()
    save_card_text(tmp_path / "model/card.yaml", ModelCardText(name="exported", command="hf-vanilla train"))
    assert read_card_text(tmp_path).command == "hf-vanilla train"
    for content, message in (("[1", r"recipe\.yaml is not valid YAML"), ("- a", r"recipe\.yaml .*not list")):
        (tmp_path / "recipe.yaml").write_text(content)
        (tmp_path / "model/card.yaml").unlink(missing_ok=True)
        with pytest.raises(ValueError, match=message):
            read_card_text(tmp_path)


def test_the_example_of_a_masked_language_model_has_a_mask():
    use = use_of(model_for("encoder", tokenizer_for("encoder")))
    assert use.pipeline_tag == "fill-mask"
    assert example_for(use, "The dog sees it.", "[MASK]") == "The dog sees [MASK]."
    assert example_for(use, "The [MASK] sees it.", "[MASK]") == "The [MASK] sees it."
    assert example_for(use_of(model_for("decoder", tokenizer_for("decoder"))), "A dog.", "[MASK]") == "A dog."


def test_the_hub_client_reads_a_complete_card(tmp_path):
    text = ModelCardText(
        name="someone/model",
        summary="Says {{ nothing }} {% of %} it.",
        languages=("en",),
        license="other",
        license_name="our-own",
        license_link="https://example.org/licence",
        example='Say "no".',
        datasets=("someone/corpus",),
        test_data="a corpus",
        date="2026-11-20",
        base_model="someone/base",
        citation="Cite us.",
    )
    model = model_for("seq2seq", tokenizer_for("seq2seq"))
    metrics = {"test_bleu": 30.25, "test_loss": 2.0, "validation_bleu": 31.0, "finished": "2026-11-21"}
    card = ModelCard.load(write_card(tmp_path / "README.md", model, text, metrics=metrics))
    assert ModelCard(str(card)).data.to_dict() == card.data.to_dict()
    assert card.data.base_model == "someone/base" and card.data.datasets == ["someone/corpus"]
    assert card.data.license_link == "https://example.org/licence" and card.data.metrics == ["bleu"]
    assert card.data["widget"] == [{"text": 'Say "no".'}]
    (result,) = card.data.eval_results
    assert (result.dataset_type, result.metric_value, result.dataset_split) == ("someone/corpus", 30.25, "test")
    assert result.metric_args == {"date": "2026-11-20"}
    for expected in (
        "Says {{ nothing }} {% of %} it.",
        "[our-own](https://example.org/licence)",
        "Cite us.",
        "vaswani2017attention",
        "| bleu | validation | 31 | 2026-11-20 |",
        'tokenizer("Say \\"no\\".", return_tensors="pt")',
        'from_pretrained("someone/model")',
    ):
        assert expected in card.text
    assert "\n\n\n" not in card.text


def test_the_card_of_a_model_without_a_tokenizer_mentions_none(tmp_path):
    model = VanillaEncoderModel(tiny_config("encoder", layers=1, vocab_size=20))
    write_card(tmp_path / "README.md", model, ModelCardText(name="plain"), tokenizer=False)
    assert "okenizer" not in (tmp_path / "README.md").read_text().replace("AutoTokenizer", "okenizer")


def test_every_example_uses_an_auto_class_or_names_its_own_class():
    from hf_vanilla_transformer.hub.model_use import _USES

    assert all(hasattr(transformers, use.auto_class) for use in _USES.values() if use.own_class is None)
    assert [use.own_class for use in _USES.values() if use.auto_class is None] == [
        "modeling_vanilla_parsing.VanillaEncoderForDependencyParsing"
    ]


def test_a_parser_is_loaded_by_its_own_class(tmp_path, capsys):
    tokenizer = tokenizer_for("encoder")
    config = model_for("encoder", tokenizer, parser_arc_size=8, parser_label_size=8).config
    text = ModelCardText(name="parser", example='The "dog" sees.')
    folder = export_folder(VanillaEncoderForDependencyParsing(config), tokenizer, tmp_path / "parser", card=text)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert 'pipeline("dependency-parsing", model="path/to/parser")("The \\"dog\\" sees .")' in card
    assert "AutoModel" not in card and "import None" not in card
    for code in card.split("```python\n")[1:]:
        code = code.split("```")[0].replace("path/to/parser", str(folder)).replace(", trust_remote_code=True", "")
        exec(compile(code, "card", "exec"), {})
    printed = capsys.readouterr().out
    assert "('sees', " in printed and "'heads': [" in printed
