"""Logits of training steps: computed when they are read, as those of transformers' own models, or an error says how."""

import pytest
import torch
from accelerate.utils import convert_outputs_to_fp32
from torch.utils import _pytree as pytree
from transformers import Trainer, TrainingArguments

import hf_vanilla_transformer as vanilla

from ..tiny_models import gradients, tiny_model, tokens

_MODELS = [
    vanilla.VanillaEncoderForMaskedLM,
    vanilla.VanillaEncoderForPreTraining,
    vanilla.VanillaDecoderForCausalLM,
    vanilla.VanillaTransformerForConditionalGeneration,
]
_FIELDS = {vanilla.VanillaEncoderForPreTraining: "prediction_logits"}
by_model = pytest.mark.parametrize("model_class", _MODELS, ids=lambda model_class: model_class.__name__)


def training_step(model_class, **fields):
    """A model in training mode without dropout, a call of it with labels, and the name of its logits."""
    model = tiny_model(model_class, dropout=0.0, attention_dropout=0.0, **fields).train()
    batch = {"input_ids": tokens(2, 6), "labels": tokens(2, 6, seed=1)}
    return model, lambda **options: model(**batch, **options), _FIELDS.get(model_class, "logits")


@pytest.mark.usefixtures("both_losses")
@by_model
def test_every_way_of_reading_gives_the_logits(model_class):
    _, step, name = training_step(model_class, lm_head_bias=True)
    expected = step(return_logits=True)[name]
    for read in (
        lambda output: getattr(output, name),
        lambda output: output[name],
        lambda output: output.get(name),
        lambda output: output[1],
        lambda output: output[1:][0],
        lambda output: output.to_tuple()[1],
    ):
        torch.testing.assert_close(read(step()), expected)
    torch.testing.assert_close(step(return_dict=False)[1], expected)
    assert name in step() and hasattr(step(), name)
    assert step()[0] == step().loss


@pytest.mark.usefixtures("both_losses")
@by_model
def test_a_loss_of_the_logits_has_the_gradients_of_transformers_models(model_class):
    """Distillation: a part of the loss comes from the labels, and another from the logits."""
    model, step, name = training_step(model_class)

    def mixed(output):
        return gradients(model, output.loss + 0.5 * output[name].log_softmax(-1)[..., 7].mean())

    found, expected = mixed(step()), mixed(step(return_logits=True))
    assert found.keys() == expected.keys()
    for field, gradient in expected.items():
        torch.testing.assert_close(found[field], gradient, msg=field)


@pytest.mark.usefixtures("chunked_loss")
@by_model
def test_reading_keeps_the_order_of_the_fields(model_class):
    _, step, name = training_step(model_class)
    output = step(output_hidden_states=True)
    assert name not in list(output) and "tensor" in repr(output)
    assert output[name] is output[name]
    assert list(output) == list(step(output_hidden_states=True, return_logits=True))
    output[name] = output[name].detach()
    assert output[1] is output[name]


@pytest.mark.usefixtures("chunked_loss")
@by_model
def test_without_logits_on_request(model_class):
    _, step, name = training_step(model_class)
    output = step(return_logits=False)
    assert getattr(output, name) is None and name not in output


@pytest.mark.usefixtures("chunked_loss")
@by_model
def test_a_copy_made_by_a_tool_says_how_to_get_logits(model_class):
    _, step, name = training_step(model_class)
    copies = [
        convert_outputs_to_fp32(step)(),  # how accelerate runs a model in mixed precision
        type(step())(step().items()),  # how DataParallel gathers
        pytree.tree_map(lambda tensor: tensor, step()),
    ]
    for output in copies:
        assert output[0] == output["loss"] == output.loss and not hasattr(output, name)
        for error, read in (
            (AttributeError, lambda output: getattr(output, name)),
            (KeyError, lambda output: output[name]),
            (IndexError, lambda output: output[1]),
        ):
            with pytest.raises(error, match=rf"{name}.*return_logits=True"):
                read(output)


@pytest.mark.usefixtures("chunked_loss")
def test_logits_after_the_update_are_refused():
    model, step, _ = training_step(vanilla.VanillaDecoderForCausalLM)
    output = step()
    output.loss.backward()
    torch.testing.assert_close(output.logits, step(return_logits=True).logits)
    late = step()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    with pytest.raises(RuntimeError, match="return_logits=True"):
        _ = late.logits


@pytest.mark.usefixtures("chunked_loss")
def test_logits_have_the_type_and_the_gradient_mode_of_the_step():
    _, step, _ = training_step(vanilla.VanillaDecoderForCausalLM)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = step()
    assert output.logits.dtype == torch.bfloat16 and output.logits.requires_grad
    with torch.no_grad():
        output = step()
    assert not output.logits.requires_grad


@pytest.mark.usefixtures("chunked_loss")
def test_a_trainer_with_a_loss_of_the_logits_learns(tmp_path):
    class Distillation(Trainer):
        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            outputs = model(**inputs)
            loss = outputs.loss + (outputs.logits - 1.0).square().mean()
            return (loss, outputs) if return_outputs else loss

    model, step, _ = training_step(vanilla.VanillaDecoderForCausalLM)
    before = (step().logits - 1.0).square().mean().item()
    rows = [{"input_ids": row, "labels": row} for row in tokens(8, 6)]
    settings = TrainingArguments(
        str(tmp_path), max_steps=8, learning_rate=3e-2, report_to="none", use_cpu=True, save_strategy="no"
    )
    trainer = Distillation(model, settings, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    assert (step().logits - 1.0).square().mean().item() < 0.9 * before
    assert trainer.predict(rows).predictions[0].shape[-1] == 50
