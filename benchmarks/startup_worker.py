"""The plain script beside which `python -m benchmarks startup` measures the commands: one text, one answer.

It imports transformers, loads the model and its tokenizer with the Auto classes, and answers. It takes the name of the
command, the folder and the text.
"""

import sys


def main(command: str, folder: str, text: str) -> None:
    """Prints the answer of the model in `folder` to `text`, computed as the command does by default."""
    import torch
    import transformers

    import hf_vanilla_transformer  # noqa: F401 - registers the models

    auto_class = {
        "translate": "AutoModelForSeq2SeqLM",
        "generate": "AutoModelForCausalLM",
        "fill": "AutoModelForMaskedLM",
        "classify": "AutoModelForSequenceClassification",
    }[command]
    transformers.utils.logging.disable_progress_bar()
    model = getattr(transformers, auto_class).from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    inputs = tokenizer(text, return_tensors="pt")
    if command == "translate":
        limit = inputs["input_ids"].shape[1] + 50
        output = model.generate(**inputs, num_beams=4, early_stopping="never", do_sample=False, max_new_tokens=limit)
        print(tokenizer.decode(output[0], skip_special_tokens=True))
    elif command == "generate":
        output = model.generate(**inputs, do_sample=False, max_new_tokens=32)
        print(tokenizer.decode(output[0], skip_special_tokens=True))
    else:
        with torch.inference_mode():
            logits = model(**inputs).logits[0]
        if command == "classify":
            print(model.config.id2label[int(logits.argmax())])
        else:
            place = inputs["input_ids"][0].tolist().index(tokenizer.mask_token_id)
            word = tokenizer.decode([int(logits[place].argmax())])
            print(text.replace(tokenizer.mask_token, word))


if __name__ == "__main__":
    main(*sys.argv[1:])
