import json
import os
import subprocess
import sys

import pytest

# Hash tables differ between processes, so training twice in one process would not test the determinism.
TRAIN = """
import hashlib, json, sys
from hf_vanilla_transformer.tokenization import train_tokenizer
texts = json.load(open(sys.argv[1], encoding="utf-8"))
sums = {}
for kind in ("bpe", "byte_bpe", "wordpiece", "unigram"):
    template = "encoder" if kind == "wordpiece" else "seq2seq"
    tokenizer = train_tokenizer(texts, kind=kind, vocab_size=420, template=template, min_frequency=1)
    tokenizer.save_pretrained(f"{sys.argv[2]}/{kind}")
    with open(f"{sys.argv[2]}/{kind}/tokenizer.json", "rb") as file:
        sums[kind] = hashlib.sha256(file.read()).hexdigest()
print(json.dumps(sums))
"""


@pytest.mark.slow
def test_every_process_trains_the_same_tokenizer(european, korean, tmp_path):
    corpus = tmp_path / "corpus.json"
    corpus.write_text(json.dumps(european + korean), encoding="utf-8")
    found = []
    for seed in ("1", "2", "3"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", TRAIN, str(corpus), str(tmp_path / seed)],
            env=environment,
            capture_output=True,
            text=True,
        )
        assert run.returncode == 0, run.stderr
        found.append(json.loads(run.stdout.splitlines()[-1]))
    assert found[0] == found[1] == found[2]
    assert len(set(found[0].values())) == 4


@pytest.mark.parametrize("kind", ["bpe", "wordpiece"])
def test_characters_are_known_at_any_position(kind, european):
    from hf_vanilla_transformer.tokenization import train_tokenizer

    tokenizer = train_tokenizer(european, kind=kind, vocab_size=400, template="seq2seq", pretokenized=True)
    letters = sorted({character for text in european for character in text if not character.isspace()})
    for text in ("".join(letters), "".join(reversed(letters)), " ".join(letters)):
        ids = tokenizer(text)["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text
