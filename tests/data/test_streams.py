"""Streams of rows: the proportions of a mixture, and resuming at any row."""

import gzip
import io

import datasets
import numpy as np
import pytest
import torch

from hf_vanilla_transformer.data import load_texts
from hf_vanilla_transformer.data.streams import Mixture, RowStream, ShuffleBuffer, TextStream, first_texts

# More than are tokenized at once, so that stops are within and between batches of texts.
LINES = 1300


def cut(texts, rest):
    """Cuts the bytes of the texts into blocks of seven."""
    ids = np.concatenate(
        [rest, *(np.frombuffer(f"{text}\n".encode(), dtype=np.uint8).astype(np.int32) for text in texts)]
    )
    full = len(ids) - len(ids) % 7
    return [row.copy() for row in ids[:full].reshape(-1, 7)], ids[full:].copy()


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The same kind of text in each format."""
    folder = tmp_path_factory.mktemp("streams")
    lines = [f"line {number} of the text" for number in range(LINES)]
    (folder / "plain.txt").write_text("\n".join(lines) + "\n")
    with gzip.open(folder / "packed.txt.gz", "wt") as file:
        file.write("\n".join(reversed(lines)) + "\n")
    datasets.Dataset.from_dict({"text": [f"row {line}" for line in lines]}).to_parquet(folder / "table.parquet")
    (folder / "shards").mkdir()
    for shard in range(3):
        name = folder / "shards" / f"train-{shard:05}-of-00003.parquet"
        datasets.Dataset.from_dict({"text": [f"{shard} {line}" for line in lines[:300]]}).to_parquet(name)
    return folder


KINDS = ["plain.txt", "packed.txt.gz", "table.parquet", "shards"]


def opener(path, skip=0):
    def open_texts():
        texts, report = load_texts(path, streaming=True)
        return (texts.skip(skip) if skip else texts), report

    return open_texts


def stream(folder, kinds=tuple(KINDS), size=50, seed=0, skip=3):
    rows = [RowStream(TextStream(opener(folder / kind, skip)), cut) for kind in kinds]
    return ShuffleBuffer(Mixture(rows, range(1, len(kinds) + 1)), size, seed)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_is_read_completely_in_order_and_then_again(kind, sources):
    texts = TextStream(opener(sources / kind))
    expected = [row["text"] for row in opener(sources / kind)()[0]]
    found = []
    while texts.passes < 1:
        found += next(texts)
    assert found[: len(expected)] == expected
    while len(found) < 2 * len(expected):
        found += next(texts)
    assert found == 2 * expected


def test_rows_contain_the_text_without_gaps(sources):
    rows = RowStream(TextStream(opener(sources / "plain.txt")), cut)
    found = b"".join(bytes(next(rows).astype(np.uint8)) for _ in range(3000))
    assert found == ((sources / "plain.txt").read_bytes() * 2)[: len(found)]


@pytest.mark.parametrize("stop", [0, 1, 17, 2500, 9001])
def test_a_stream_resumes_where_it_stopped(stop, sources):
    whole = stream(sources)
    expected = [next(whole) for _ in range(stop + 300)][stop:]
    first = stream(sources)
    for _ in range(stop):
        next(first)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = stream(sources, seed=5)  # the state overrides the seed
    second.load_state_dict(torch.load(file, weights_only=True))
    found = [next(second) for _ in range(300)]
    assert all((one == other).all() for one, other in zip(found, expected, strict=True))
    assert second.passes == whole.passes


def test_weights_are_proportions_of_tokens(sources):
    def short(texts, rest):
        return [np.frombuffer(text.encode(), dtype=np.uint8)[:3] for text in texts], rest

    def long(texts, rest):
        return [np.frombuffer(text.encode(), dtype=np.uint8)[:11] for text in texts], rest

    rows = [RowStream(TextStream(opener(sources / "plain.txt")), one) for one in (short, long)]
    mixture = Mixture(rows, [3, 1])
    for _ in range(5000):
        next(mixture)
        first, second = mixture.tokens
        # The error is at most one row of each source.
        assert abs(first - 3 * second) <= 3 * 11 + 3


def test_the_buffer_shuffles_without_loss(sources):
    rows = RowStream(TextStream(opener(sources / "plain.txt")), cut)
    plain = [next(rows).tobytes() for _ in range(1000)]
    shuffled = stream(sources, kinds=["plain.txt"], size=100, skip=0)
    found = [next(shuffled).tobytes() for _ in range(900)]
    assert sorted(found + [row.tobytes() for row in shuffled._buffer]) == sorted(plain)
    assert found[:100] != plain[:100]
    in_order = stream(sources, kinds=["plain.txt"], size=1, skip=0)
    assert [next(in_order).tobytes() for _ in range(50)] == plain[:50]


def test_rows_in_a_restored_buffer_own_their_memory(sources):
    rows = stream(sources, kinds=["plain.txt"], size=10)
    next(rows)
    rows.load_state_dict(rows.state_dict())
    assert all(row.base is None for row in rows._buffer)


def test_a_source_without_a_valid_text_is_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n \n")
    with pytest.raises(ValueError, match=r"(?s)empty\.txt.*empty\s+2"):
        next(TextStream(opener(tmp_path / "empty.txt")))


def test_bad_rows_are_counted_once_at_the_end_of_the_first_pass(tmp_path, caplog):
    (tmp_path / "some.txt").write_bytes(b"good\n\n\xff\xfe\nfine\n")
    texts = TextStream(opener(tmp_path / "some.txt"))
    assert next(texts) == ["good", "fine"]
    for _ in range(3):
        next(texts)
    assert caplog.text.count("not UTF-8") == 1


def test_a_changed_source_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a line of text\n" * 400)
    rows = RowStream(TextStream(opener(path)), cut)
    for _ in range(800):
        next(rows)
    state = rows.state_dict()
    path.write_text("a line of text\n" * 20)
    with pytest.raises(ValueError, match="saved state"):
        RowStream(TextStream(opener(path)), cut).load_state_dict(state)


def test_illegal_arguments_are_refused(sources):
    rows = RowStream(TextStream(opener(sources / "plain.txt")), cut)
    with pytest.raises(ValueError, match="weights="):
        Mixture([rows], [0])
    with pytest.raises(ValueError, match="weights="):
        Mixture([rows], [1, 2])
    with pytest.raises(ValueError, match="size=0"):
        ShuffleBuffer(Mixture([rows], [1]), 0, 0)
    with pytest.raises(ValueError, match=r"1 sources.* 2"):
        Mixture([rows, rows], [1, 1]).load_state_dict(Mixture([rows], [1]).state_dict())


def test_the_first_texts_are_taken_in_proportion_to_the_weights(sources):
    sample = first_texts([opener(sources / "plain.txt"), opener(sources / "table.parquet")], [3, 1], 40)
    for _ in range(2):
        texts = [row["text"] for row in sample]
        assert len(texts) == 40 and sum(text.startswith("row") for text in texts) == 10
