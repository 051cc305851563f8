"""Rows of packed sequences: the number of each sequence, and sequences without a token."""

import numpy as np

from hf_vanilla_transformer.data.packing import pack, place_in_rows


def test_sequences_are_numbered_in_each_row_and_padding_belongs_to_the_last():
    lengths = np.array([2, 3, 1, 4])
    rows = np.array([1, 0, 1, 0])
    packed = pack(np.arange(1, 11), lengths, rows, fill=0)
    assert packed.values.tolist() == [[3, 4, 5, 7, 8, 9, 10], [1, 2, 6, 0, 0, 0, 0]]
    assert packed.sequences.tolist() == [[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1]]
    assert packed.positions.tolist() == [[0, 1, 2, 0, 1, 2, 3], [0, 1, 0, 1, 2, 3, 4]]


def test_an_empty_sequence_keeps_its_number_so_that_sources_and_targets_stay_together():
    rows = place_in_rows(np.array([[2, 1], [0, 2], [1, 1]]), None)
    sources = pack(np.array([7, 8, 9]), np.array([2, 0, 1]), rows, fill=0)
    targets = pack(np.array([1, 2, 3, 4]), np.array([1, 2, 1]), rows, fill=0)
    assert sources.sequences.tolist() == [[0, 0, 2]]
    assert targets.sequences.tolist() == [[0, 1, 1, 2]]
