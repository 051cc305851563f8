"""An exported folder loads by every Auto class, with and without this package, and is complete or absent."""

import json

import pytest
import transformers
from huggingface_hub import ModelCard

from hf_vanilla_transformer.hub import ModelCardText, auto_map, export_folder
from hf_vanilla_transformer.models.registration import AUTO_CLASSES

from ..tiny_models import tiny_config
from .tiny import STACKS, model_for, tokenizer_for


@pytest.fixture(scope="module", params=STACKS)
def exported(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub")
    tokenizer = tokenizer_for(request.param)
    model = model_for(request.param, tokenizer)
    # Dot and dash: not a valid module name in Python.
    return export_folder(model, tokenizer, folder / "my-model.v1"), model


def test_files_of_the_folder(exported):
    folder, model = exported
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "model.safetensors", "README.md", "tokenizer.json", "tokenizer_config.json"} <= names
    assert {"configuration_vanilla.py", "stack_vanilla.py", "losses_vanilla.py"} <= names
    assert ("generation_config.json" in names) == model.can_generate()
    assert "__init__.py" not in names
    assert not hasattr(model.config, "auto_map"), "the export changed the model's configuration"


def test_the_card_is_valid(exported):
    folder, model = exported
    card = ModelCard.load(folder / "README.md")
    assert card.data.library_name == "transformers"
    assert model.config.model_type in card.data.tags
    assert "$" not in card.content.replace("$\\", "")
    assert f"{model.num_parameters():,}" in card.text


def test_the_example_on_the_card_runs(exported, capsys):
    folder, _ = exported
    card = (folder / "README.md").read_text(encoding="utf-8")
    code = card.split("```python\n")[1].split("```")[0]
    code = code.replace("path/to/my-model.v1", str(folder)).replace(", trust_remote_code=True", "")
    exec(compile(code, "card", "exec"), {})
    assert capsys.readouterr().out.strip() or "generate" in code


def test_the_auto_map_names_every_head():
    mapped = auto_map(tiny_config("seq2seq"))
    assert mapped == {
        "AutoConfig": "configuration_vanilla.VanillaTransformerConfig",
        "AutoModel": "modeling_vanilla_transformer.VanillaTransformerModel",
        "AutoModelForSeq2SeqLM": "modeling_vanilla_transformer.VanillaTransformerForConditionalGeneration",
        "AutoModelForSpeechSeq2Seq": "modeling_vanilla_transformer.VanillaTransformerForSpeechSeq2Seq",
    }
    for config_class, heads in AUTO_CLASSES.items():
        files = {entry.split(".")[0] for auto, entry in auto_map(config_class()).items() if auto != "AutoConfig"}
        assert len(files) == 1, "classes of one auto_map must be in one file, or it is loaded twice"
        assert len(heads) == len(auto_map(config_class())) - 1
        assert all(hasattr(transformers, auto) for auto in heads)


def test_scores_recipe_and_plots_are_exported(tmp_path):
    tokenizer = tokenizer_for("seq2seq")
    picture = tmp_path / "curves.png"
    picture.write_bytes(b"\x89PNG")
    text = ModelCardText(
        name="someone/small",
        summary="It translates $5 and {this}.",
        languages=("en", "fr"),
        license="apache-2.0",
        data="Nothing.",
        command="hf-vanilla demo",
        test_data="ten sentences",
        limitations="Many.",
    )
    folder = export_folder(
        model_for("seq2seq", tokenizer),
        tokenizer,
        tmp_path / "small",
        card=text,
        recipe="task: translation\n",
        metrics={"test_bleu": 12.5, "test_bleu_signature": "nrefs:1|tok:13a", "steps": 10},
        plots={"The curves": picture},
    )
    card = ModelCard.load(folder / "README.md")
    assert card.data.eval_results[0].metric_value == 12.5
    assert card.data.eval_results[0].metric_type == "bleu"
    assert len(card.data.eval_results) == 1
    for expected in ("It translates $5 and {this}.", "![The curves](curves.png)", "hf-vanilla demo", "## Limitations"):
        assert expected in card.text
    assert card.data.eval_results[0].metric_args == {"signature": "nrefs:1|tok:13a"}
    assert "`nrefs:1\\|tok:13a`" in card.text, "a bare | would end the cell"
    assert (folder / "recipe.yaml").read_text() == "task: translation\n"
    assert json.loads((folder / "results.json").read_text())["steps"] == 10
    assert (folder / "curves.png").is_file()


def test_sections_without_content_are_left_out(tmp_path):
    tokenizer = tokenizer_for("decoder")
    folder = export_folder(model_for("decoder", tokenizer), tokenizer, tmp_path / "plain")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "## Limitations" not in card
    assert "## Results" not in card
    assert "## Use" in card


def test_bad_input_is_refused_before_anything_is_written(tmp_path):
    tokenizer = tokenizer_for("encoder")
    model = model_for("encoder", tokenizer)
    with pytest.raises(ValueError, match=r"tokenizer has \d+ entries.*vocab_size=10\b"):
        export_folder(model_for("encoder", tokenizer, vocab_size=10), tokenizer, tmp_path / "x")
    with pytest.raises(FileNotFoundError, match=r"missing\.png"):
        export_folder(model, tokenizer, tmp_path / "x", plots={"A": tmp_path / "missing.png"})
    foreign = transformers.BertModel(
        transformers.BertConfig(
            hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=9
        )
    )
    with pytest.raises(ValueError, match="model_type='bert'"):
        export_folder(foreign, None, tmp_path / "x")
    assert not list(tmp_path.iterdir())


def test_a_folder_with_other_files_is_kept(tmp_path):
    tokenizer = tokenizer_for("encoder")
    model = model_for("encoder", tokenizer)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis/chapter1.tex").write_text("It was a dark and stormy night.")
    with pytest.raises(ValueError, match=r"thesis is not empty"):
        export_folder(model, tokenizer, tmp_path / "thesis", overwrite=True)
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="/file is a file"):
        export_folder(model, tokenizer, tmp_path / "file")
    export_folder(model, tokenizer, tmp_path / "model")
    export_folder(model, tokenizer, tmp_path / "model")  # with the same content
    (tmp_path / "model/results.json").write_text("{}")
    with pytest.raises(ValueError, match=r"/model .*overwrite=True"):
        export_folder(model, tokenizer, tmp_path / "model")
    export_folder(model, tokenizer, tmp_path / "model", overwrite=True)
    assert not (tmp_path / "model/results.json").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "model", "thesis"]


def test_a_failed_export_keeps_the_earlier_one(tmp_path, monkeypatch):
    tokenizer = tokenizer_for("encoder")
    model = model_for("encoder", tokenizer)
    folder = export_folder(model, tokenizer, tmp_path / "model")
    before = (folder / "model.safetensors").read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tokenizer), "save_pretrained", full)
    with pytest.raises(OSError, match="No space left"):
        export_folder(model, tokenizer, folder, overwrite=True)
    assert (folder / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
