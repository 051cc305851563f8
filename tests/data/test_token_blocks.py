import numpy as np
import pytest

from hf_vanilla_transformer.data import CausalLanguageModelingCollator, TokenBlocks


def test_running_text_is_cut_into_blocks(pairs, decoder_tokenizer):
    texts = [source for source, _ in pairs]
    blocks = TokenBlocks.from_texts(iter(texts), decoder_tokenizer, 16)
    stream = np.concatenate([[*decoder_tokenizer(text)["input_ids"], decoder_tokenizer.eos_token_id] for text in texts])
    assert len(blocks) == len(stream) // 16
    joined = np.concatenate([blocks[index]["input_ids"] for index in range(len(blocks))])
    assert (joined == stream[: len(joined)]).all()
    batch = CausalLanguageModelingCollator(decoder_tokenizer, 16)([blocks[0], blocks[-1]])
    assert batch["input_ids"].shape == (2, 16) and "attention_mask" not in batch
    assert batch["position_ids"].tolist() == [list(range(16))] * 2
    with pytest.raises(IndexError):
        blocks[len(blocks)]


def test_too_few_tokens_are_refused():
    with pytest.raises(ValueError, match=r"3 tokens.*block_size=16"):
        TokenBlocks(np.arange(3), 16)
