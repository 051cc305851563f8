import numpy as np
import pytest
import torch
from accelerate.data_loader import BatchSamplerShard, skip_first_batches
from torch.utils.data import DataLoader

from hf_vanilla_transformer.data import TokenBatchSampler

random = np.random.default_rng(0)
SOURCE = np.clip(random.lognormal(2.6, 0.4, 3000), 3, 90).astype(int)
LENGTHS = np.stack([SOURCE, np.clip(SOURCE + random.integers(-4, 6, 3000), 2, 95)], axis=1)


def size(batch, count, lengths=LENGTHS):
    """The number of tokens of the larger side."""
    rows = lengths[batch]
    return rows.sum(axis=0).max() if count == "sum" else len(rows) * rows.max()


def flat(batches):
    return [row for batch in batches for row in batch]


@pytest.mark.parametrize("lengths", [LENGTHS, LENGTHS[:, 0], LENGTHS[:, :1].tolist(), LENGTHS[:40]])
@pytest.mark.parametrize("count", ["padded", "sum"])
@pytest.mark.parametrize("shuffle", [True, False])
def test_each_row_occurs_once_within_the_budget(lengths, count, shuffle):
    sampler = TokenBatchSampler(lengths, 600, count=count, shuffle=shuffle)
    batches = list(sampler)
    table = np.asarray(lengths).reshape(len(lengths), -1)
    assert len(batches) == len(sampler)
    assert sorted(flat(batches)) == list(range(len(lengths)))
    assert all(isinstance(row, int) for row in batches[0])
    assert max(size(batch, count, table) for batch in batches) <= 600
    # Batches are nearly full, except the last one.
    assert np.mean([size(batch, count, table) for batch in batches]) > 0.85 * 600 or len(lengths) == 40


def test_each_side_has_its_own_budget():
    lengths = np.array([[10, 1], [1, 10]] * 50)
    for count in ("padded", "sum"):
        for batch in TokenBatchSampler(lengths, 100, count=count):
            sides = lengths[batch]
            tokens = sides.sum(axis=0) if count == "sum" else len(batch) * sides.max(axis=0)
            assert (tokens <= 100).all()
    # With "sum", 18 rows of both kinds have 100 tokens per side: the sides do not share the budget.
    assert len(TokenBatchSampler(lengths, 110, count="sum", shuffle=False)) <= 10


def test_batches_contain_little_padding():
    sampler = TokenBatchSampler(LENGTHS, 600)
    assert sampler.padding() < 0.12
    held = sum(len(batch) * LENGTHS[batch].max(axis=0).sum() for batch in sampler)
    assert sampler.padding() == pytest.approx(1 - LENGTHS.sum() / held)


def test_epochs_differ_and_are_reproducible():
    sampler = TokenBatchSampler(LENGTHS, 600, seed=3)
    first = list(sampler)
    assert list(sampler) == first == list(TokenBatchSampler(LENGTHS, 600, seed=3))
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first and sorted(flat(second)) == sorted(flat(first))
    assert len(second) == len(first) == len(sampler)
    # Batches have other rows, not only another order.
    assert {tuple(sorted(batch)) for batch in first} != {tuple(sorted(batch)) for batch in second}
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(TokenBatchSampler(LENGTHS, 600, seed=4)) != first


@pytest.mark.parametrize("replicas", [2, 3, 7])
@pytest.mark.parametrize("drop_last", [False, True])
def test_processes_share_the_rows_and_make_equally_many_steps(replicas, drop_last):
    for budget in (500, 600, 700):
        alone = list(TokenBatchSampler(LENGTHS, budget))
        shares = [
            list(TokenBatchSampler(LENGTHS, budget, num_replicas=replicas, rank=rank, drop_last=drop_last))
            for rank in range(replicas)
        ]
        assert len({len(share) for share in shares}) == 1
        rows = [row for share in shares for row in flat(share)]
        assert len(rows) == len(set(rows))
        assert max(size(batch, "padded") for share in shares for batch in share) <= budget
        if not drop_last:
            assert len(rows) == len(LENGTHS) and all(batch for share in shares for batch in share)
        # One process that accumulates over as many batches sees the same rows in each step, also in the last one.
        for step in range(len(shares[0])):
            together = sorted(flat([share[step] for share in shares]))
            assert together == sorted(flat(alone[step * replicas : (step + 1) * replicas]))


@pytest.mark.parametrize("rows", [4, 5, 6, 7, 9])
def test_few_long_rows_are_shared_by_all_processes(rows):
    # With one row per batch the last step cannot be split, so batches of the steps before it must be.
    lengths = [50] * (rows - 1) + [10]
    shares = [list(TokenBatchSampler(lengths, 100, num_replicas=4, rank=rank)) for rank in range(4)]
    assert sorted(row for share in shares for row in flat(share)) == list(range(rows))
    assert len({len(share) for share in shares}) == 1


def test_accelerate_distributes_the_batches_of_all_processes():
    for replicas in (2, 3):
        everything = TokenBatchSampler(LENGTHS, 600, num_replicas=replicas, rank=None)
        assert len(everything) % replicas == 0
        for even in (True, False):
            for rank in range(replicas):
                shard = BatchSamplerShard(everything, replicas, rank, even_batches=even)
                own = TokenBatchSampler(LENGTHS, 600, num_replicas=replicas, rank=rank)
                assert list(shard) == list(own)
                assert len(shard) == len(own)


@pytest.mark.parametrize("replicas", [1, 2])
def test_resuming_gives_the_remaining_batches(replicas):
    def make():
        return TokenBatchSampler(LENGTHS, 600, seed=5, num_replicas=replicas, rank=replicas - 1)

    sampler = make()
    sampler.set_epoch(2)
    iterator = iter(sampler)
    for _ in range(7):
        next(iterator)
    state = sampler.state_dict()
    remaining = list(iterator)
    sampler.set_epoch(3)
    following = list(sampler)

    resumed = make()
    resumed.load_state_dict(state)
    resumed.set_epoch(2)  # as a training loop does at the start of an epoch
    assert list(resumed) == remaining
    assert list(resumed)[7:] == remaining  # only the interrupted epoch is resumed
    resumed.set_epoch(3)
    assert list(resumed) == following


def test_batches_are_skipped_as_by_trainer():
    loader = DataLoader(range(len(LENGTHS)), batch_sampler=TokenBatchSampler(LENGTHS, 600), collate_fn=list)
    assert list(skip_first_batches(loader, 5)) == list(loader)[5:]


def test_the_state_of_another_order_is_refused():
    state = TokenBatchSampler(LENGTHS, 600).state_dict()
    for other in (
        TokenBatchSampler(LENGTHS, 601),
        TokenBatchSampler(LENGTHS[::-1], 600),
        TokenBatchSampler(LENGTHS, 600, seed=1),
        TokenBatchSampler(LENGTHS, 600, count="sum"),
        TokenBatchSampler(LENGTHS, 600, num_replicas=2),
    ):
        with pytest.raises(ValueError, match=r"fingerprint.*max_tokens"):
            other.load_state_dict(state)
    with pytest.raises(ValueError, match="batch 9999"):
        TokenBatchSampler(LENGTHS, 600).load_state_dict({**state, "batches": 9999})


def test_max_rows_limits_the_rows_of_a_batch():
    for count in ("padded", "sum"):
        sampler = TokenBatchSampler(LENGTHS, 600, count=count, max_rows=8)
        assert max(map(len, sampler)) == 8
        assert sorted(flat(sampler)) == list(range(len(LENGTHS)))


def test_lengths_can_be_torch_tensors():
    assert list(TokenBatchSampler(torch.tensor(LENGTHS), 600)) == list(TokenBatchSampler(LENGTHS, 600))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_tokens": 20}, r"Row \d+ has \d+ tokens.*max_tokens=20"),
        ({"count": "rows"}, "count.*'rows'"),
        ({"rank": 2, "num_replicas": 2}, "rank=2 and num_replicas=2"),
        ({"max_rows": 0}, "max_rows.*0"),
        ({"lengths": []}, "lengths"),
        ({"lengths": [1.5]}, "lengths.*float"),
        ({"lengths": [3, -1]}, "lengths"),
        ({"lengths": [3], "num_replicas": 2}, "num_replicas=2.*1 rows"),
        ({"lengths": [3, 3], "num_replicas": 2, "drop_last": True}, "2 rows.*drop_last=True"),
    ],
)
def test_illegal_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        TokenBatchSampler(**{"lengths": LENGTHS, "max_tokens": 600, **arguments})
