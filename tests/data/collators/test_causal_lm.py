import pytest
import torch

from hf_vanilla_transformer.data import CausalLanguageModelingCollator


@pytest.fixture(scope="module")
def documents(pairs, decoder_tokenizer):
    return [decoder_tokenizer(source)["input_ids"] for source, _ in pairs]


def test_packed_rows_hold_each_document_once(documents, decoder_tokenizer):
    batch = CausalLanguageModelingCollator(decoder_tokenizer, 32)([{"input_ids": ids} for ids in documents])
    assert batch["input_ids"].shape[1] <= 32
    kept = batch.get("attention_mask", torch.ones_like(batch["input_ids"])) == 1
    found = []
    for ids, positions, labels, row in zip(batch["input_ids"], batch["position_ids"], batch["labels"], kept):
        starts = [index for index in range(len(ids)) if row[index] and positions[index] == 0]
        ends = [*starts[1:], int(row.sum())]
        for start, end in zip(starts, ends):
            found.append(ids[start:end].tolist())
            assert positions[start:end].tolist() == list(range(end - start))
            # The first token has no label, because the token before it belongs to another document.
            assert labels[start] == -100
            assert labels[start + 1 : end].tolist() == ids[start + 1 : end].tolist()
    assert sorted(found) == sorted(documents)
    assert (batch["labels"][~kept] == -100).all()
    assert (batch["position_ids"][~kept] > 0).all()
    assert torch.equal(batch["seq_idx"], (batch["position_ids"] == 0).cumsum(-1) - 1)
    assert len(batch["input_ids"]) < len(documents) / 2


def test_long_documents_are_split_into_pieces_without_loss(decoder_tokenizer):
    document = list(range(4, 104))
    batch = CausalLanguageModelingCollator(decoder_tokenizer, 32)([{"input_ids": document}])
    kept = batch["attention_mask"] == 1
    assert sorted(batch["input_ids"][kept].tolist()) == document
    assert batch["input_ids"].shape == (4, 32)


def test_padded_rows_are_truncated_documents(documents, decoder_tokenizer):
    collate = CausalLanguageModelingCollator(decoder_tokenizer, 8, packing=False)
    batch = collate([{"input_ids": ids} for ids in documents])
    assert list(batch) == ["input_ids", "attention_mask", "labels"]
    for row, ids in enumerate(documents):
        ids = ids[:8]
        blank = batch["input_ids"].shape[1] - len(ids)
        assert batch["input_ids"][row].tolist() == ids + [decoder_tokenizer.pad_token_id] * blank
        assert batch["attention_mask"][row].tolist() == [1] * len(ids) + [0] * blank
        assert batch["labels"][row].tolist() == ids + [-100] * blank


def test_text_gets_an_end_token(pairs, decoder_tokenizer):
    collate = CausalLanguageModelingCollator(decoder_tokenizer, 64, packing=False)
    batch = collate([{"text": source} for source, _ in pairs])
    decoded = decoder_tokenizer.batch_decode(batch["input_ids"])
    assert [text.replace("<pad>", "") for text in decoded] == [f"<s>{source}</s>" for source, _ in pairs]
    assert (batch["labels"] == decoder_tokenizer.eos_token_id).sum() == len(pairs)


def test_illegal_arguments_are_refused(documents, decoder_tokenizer, encoder_tokenizer):
    with pytest.raises(ValueError, match=r"block_size.*1"):
        CausalLanguageModelingCollator(decoder_tokenizer, 1)
    with pytest.raises(ValueError, match=r"pad_to_multiple_of=5.*block_size=32"):
        CausalLanguageModelingCollator(decoder_tokenizer, 32, pad_to_multiple_of=5)
    with pytest.raises(ValueError, match="eos_token"):
        CausalLanguageModelingCollator(encoder_tokenizer, 32)([{"text": "a"}])
