import json
import os
import socket
import subprocess
import sys

import numpy as np

from hf_vanilla_transformer.data import TokenBatchSampler

# The program of one process of two: its batches by its own rank, and by Accelerator.prepare.
PROCESS = """
import json, sys
import numpy as np
from accelerate import Accelerator
from torch.utils.data import DataLoader
from hf_vanilla_transformer.data import TokenBatchSampler

accelerator = Accelerator(cpu=True)
lengths = np.array(json.loads(sys.argv[1]))
count, rank = accelerator.num_processes, accelerator.process_index
own = TokenBatchSampler(lengths, 60, num_replicas=count, rank=rank)
shared = TokenBatchSampler(lengths, 60, num_replicas=count, rank=None)
loader = accelerator.prepare(DataLoader(range(len(lengths)), batch_sampler=shared, collate_fn=lambda rows: rows))
epochs = []
for epoch in range(2):
    own.set_epoch(epoch)
    epochs.append([list(own), [list(rows) for rows in loader]])
with open(sys.argv[2] + str(rank), "w") as file:
    json.dump({"processes": count, "epochs": epochs}, file)
"""


def test_two_processes_of_accelerate_share_the_rows(tmp_path):
    lengths = np.random.default_rng(1).integers(2, 20, 101).tolist()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(2):
        environment = {
            **os.environ,
            **{"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"},
            **{"MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        }
        command = [sys.executable, "-c", PROCESS, json.dumps(lengths), str(tmp_path / "rank")]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate(timeout=600)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors

    found = [json.loads((tmp_path / f"rank{rank}").read_text()) for rank in range(2)]
    assert [one["processes"] for one in found] == [2, 2]
    for epoch in range(2):
        shares = [one["epochs"][epoch] for one in found]
        for own, prepared in shares:
            assert own == prepared
        first, second = (own for own, _ in shares)
        assert len(first) == len(second)
        assert sorted(row for batch in first + second for row in batch) == list(range(len(lengths)))
        alone = TokenBatchSampler(lengths, 60)
        alone.set_epoch(epoch)
        together = [sorted(a + b) for a, b in zip(first, second)]
        batches = list(alone)
        steps = [batches[step : step + 2] for step in range(0, len(batches), 2)]
        assert together == [sorted(row for batch in step for row in batch) for step in steps]
    assert found[0]["epochs"][0] != found[0]["epochs"][1]
