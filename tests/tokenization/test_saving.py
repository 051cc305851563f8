import json
import subprocess
import sys

import pytest
from transformers import AutoTokenizer

from hf_vanilla_transformer.tokenization import TEMPLATES, bpe_dropout, train_tokenizer

KINDS = ["bpe", "byte_bpe", "wordpiece", "unigram"]


def test_special_tokens_have_the_first_ids(european):
    for name, template in TEMPLATES.items():
        tokenizer = train_tokenizer(european, kind="byte_bpe", vocab_size=300, template=name)
        assert tokenizer.convert_tokens_to_ids(list(template.tokens)) == list(range(len(template.tokens)))
        assert tokenizer.pad_token_id == 0
        for role, token in template.roles.items():
            assert getattr(tokenizer, role) == token
        assert len(tokenizer) == 300


def test_templates_add_special_tokens_to_one_text_and_to_two(european):
    def frames(name):
        tokenizer = train_tokenizer(european, kind="byte_bpe", vocab_size=300, template=name)
        one, two = tokenizer("dog"), tokenizer("dog", "cat")
        return [tokenizer.decode(ids["input_ids"]).replace(" ", "") for ids in (one, two)], two

    assert frames("seq2seq")[0] == ["dog</s>", "dog</s>cat</s>"]
    assert frames("decoder")[0] == ["<s>dog", "<s>dogcat"]
    (one, two), encoded = frames("encoder")
    assert (one, two) == ("[CLS]dog[SEP]", "[CLS]dog[SEP]cat[SEP]")
    segments = encoded["token_type_ids"]
    assert segments == sorted(segments) and sum(segments) == encoded.word_ids().count(None) - 2 + segments.count(1) - 1


@pytest.mark.parametrize("name", list(TEMPLATES))
@pytest.mark.parametrize("kind", KINDS)
def test_auto_tokenizer_loads_the_same_tokenizer(kind, name, european, tmp_path):
    tokenizer = train_tokenizer(european, kind=kind, vocab_size=400, template=name, model_max_length=77)
    tokenizer.save_pretrained(tmp_path)
    again = AutoTokenizer.from_pretrained(tmp_path)
    assert again(european) == tokenizer(european)
    assert again("a dog", "the cat") == tokenizer("a dog", "the cat")
    ids = tokenizer(european)["input_ids"]
    assert again.batch_decode(ids) == tokenizer.batch_decode(ids)
    assert again.special_tokens_map == tokenizer.special_tokens_map
    assert (again.padding_side, again.model_input_names, again.model_max_length) == (
        tokenizer.padding_side,
        tokenizer.model_input_names,
        77,
    )


def test_loading_does_not_need_this_package(european, tmp_path):
    tokenizer = train_tokenizer(european, kind="byte_bpe", vocab_size=400, template="seq2seq")
    tokenizer.save_pretrained(tmp_path)
    load = (
        "import sys; sys.modules['hf_vanilla_transformer'] = None\n"
        "from transformers import AutoTokenizer\n"
        f"print(AutoTokenizer.from_pretrained({str(tmp_path)!r})('The small dog.')['input_ids'])"
    )
    run = subprocess.run([sys.executable, "-c", load], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout.splitlines()[-1]) == tokenizer("The small dog.")["input_ids"]


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe"])
def test_dropout_is_active_only_in_its_context(kind, european, tmp_path):
    tokenizer = train_tokenizer(european, kind=kind, vocab_size=500, template="seq2seq")
    plain = tokenizer(european)["input_ids"]
    with bpe_dropout(tokenizer, 0.5):
        first, second = tokenizer(european)["input_ids"], tokenizer(european)["input_ids"]
        assert first != second != plain
        assert sum(map(len, first)) > sum(map(len, plain))
        assert tokenizer.batch_decode(first, skip_special_tokens=True) == european
    assert tokenizer(european)["input_ids"] == plain
    tokenizer.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8"))["model"]["dropout"] is None


def test_dropout_ends_if_training_fails(european):
    tokenizer = train_tokenizer(european, kind="bpe", vocab_size=500, template="seq2seq")
    plain = tokenizer(european)["input_ids"]
    with pytest.raises(KeyboardInterrupt), bpe_dropout(tokenizer, 0.9):
        raise KeyboardInterrupt
    assert tokenizer(european)["input_ids"] == plain
    with bpe_dropout(tokenizer, 0.0):
        assert tokenizer(european)["input_ids"] == plain


def test_dropout_refuses_illegal_arguments(european):
    bpe = train_tokenizer(european, kind="bpe", vocab_size=500, template="seq2seq")
    unigram = train_tokenizer(european, kind="unigram", vocab_size=200, template="seq2seq")
    with pytest.raises(ValueError, match=r"p=1\.0"), bpe_dropout(bpe, 1.0):
        pass
    with pytest.raises(ValueError, match=r"Unigram.*kind='bpe'"), bpe_dropout(unigram, 0.1):
        pass
