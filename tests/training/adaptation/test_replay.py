"""Replay: the expected share of general rows is exact, every row is used before one repeats, and a run can resume."""

import numpy as np
import pytest

from hf_vanilla_transformer.data import TokenBatchSampler
from hf_vanilla_transformer.training.adaptation.replay import ReplaySampler, joined
from hf_vanilla_transformer.training.batches import Rows
from hf_vanilla_transformer.training.corpus import Ragged


def sampler(lengths, domain_rows, share, seed=0, **options):
    table = np.asarray(lengths)[:, None]
    return ReplaySampler(
        table, domain_rows, share, lambda rows: TokenBatchSampler(rows.lengths(), 40, seed=seed, **options), seed
    )


LENGTHS = np.random.default_rng(0).integers(2, 20, 80)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.9])
def test_the_share_is_exact_in_expectation(share):
    domain = 50
    domain_tokens = LENGTHS[:domain].sum()
    expected = domain_tokens * share / (1 - share)
    drawn = []
    for seed in range(60):
        order = sampler(LENGTHS, domain, share, seed)
        drawn += [LENGTHS[domain:][order.general_rows(epoch)].sum() for epoch in range(4)]
    # Each epoch is within a row of the share at either end, and there is no bias.
    assert max(abs(tokens - expected) for tokens in drawn) <= 2 * LENGTHS.max()
    assert np.mean(drawn) == pytest.approx(expected, abs=4 * np.std(drawn) / len(drawn) ** 0.5 + 1e-9)


def test_general_rows_are_drawn_in_passes_across_epochs():
    order = sampler(LENGTHS, 50, 0.2)
    seen = np.concatenate([order.general_rows(epoch) for epoch in range(12)])
    assert len(seen) > 90
    for begin in range(0, len(seen) - 30, 30):
        assert sorted(seen[begin : begin + 30]) == list(range(30))
    first, second = seen[:30], seen[30:60]
    assert list(first) != list(second)


def test_few_general_rows_repeat_within_an_epoch():
    order = sampler(LENGTHS[:52], 50, 0.9)
    counts = np.bincount(order.general_rows(0))
    assert len(counts) == 2 and counts.min() > 100 and abs(int(counts[0]) - int(counts[1])) <= 1


def test_batches_contain_every_domain_row_once_and_the_drawn_general_rows():
    order = sampler(LENGTHS, 50, 0.3)
    for epoch in range(3):
        order.set_epoch(epoch)
        batches = list(order)
        rows = [row for batch in batches for row in batch]
        assert sorted(row for row in rows if row < 50) == list(range(50))
        assert sorted(row - 50 for row in rows if row >= 50) == sorted(order.general_rows(epoch))
        assert all(len(batch) * LENGTHS[batch].max() <= 40 for batch in batches)
        # Both kinds meet in a batch.
        assert sum(min(batch) < 50 <= max(batch) for batch in batches) > len(batches) / 3


def test_an_epoch_depends_on_the_seed_alone():
    one, other = sampler(LENGTHS, 50, 0.3, seed=5), sampler(LENGTHS, 50, 0.3, seed=5)
    for epoch in range(4):
        one.set_epoch(epoch)
    other.set_epoch(3)  # a resumed run asks for it at once
    assert list(one) == list(other)
    another = sampler(LENGTHS, 50, 0.3, seed=6)
    another.set_epoch(3)
    assert list(one) != list(another)


def test_all_processes_make_the_same_number_of_steps():
    order = sampler(LENGTHS, 50, 0.3, num_replicas=3, rank=None)
    for epoch in range(5):
        order.set_epoch(epoch)
        assert len(list(order)) % 3 == 0


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1])
def test_a_share_outside_of_0_and_1_is_refused(share):
    with pytest.raises(ValueError, match=rf"share.*{share}"):
        sampler(LENGTHS, 50, share)


def test_both_texts_are_needed():
    for domain in (0, 80):
        with pytest.raises(ValueError, match=f"domain_rows.* {domain}"):
            sampler(LENGTHS, domain, 0.2)


def test_joined_rows_are_concatenated():
    first = Rows({"input_ids": Ragged.of(iter([[1, 2], [3]]))})
    second = Rows({"input_ids": Ragged.of(iter([[4], [5, 6, 7]]))})
    rows = joined(first, second)
    assert [list(rows[index]["input_ids"]) for index in range(4)] == [[1, 2], [3], [4], [5, 6, 7]]
