"""`hf-vanilla doctor`: what it says about good and about broken set-ups."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.training.doctor import Finding, Status, findings_table
from hf_vanilla_transformer.training.doctor.examination import shared
from hf_vanilla_transformer.training.launch import Launch, check_launch, this_launch

GROUP_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture(autouse=True)
def no_group(monkeypatch):
    for name in GROUP_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def as_process(monkeypatch, rank=0, of=2, address="127.0.0.1", port=None):
    """Sets what torchrun sets."""
    values = (rank, of, rank, of, address, free_port() if port is None else port)
    for name, value in zip(GROUP_VARIABLES, values):
        monkeypatch.setenv(name, str(value))


def lines_of(text: str, subject: str) -> str:
    """The line about a subject, and its remedy."""
    lines = text.splitlines()
    index = next(number for number, line in enumerate(lines) if line[9:].startswith(subject))
    return "\n".join(lines[index : index + 2])


def test_a_good_machine(tmp_path, capsys):
    assert main(["doctor", "--output", str(tmp_path / "runs" / "new")]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1].startswith(("All is well.", "No problem"))
    for subject in ("versions", "processes", "device", "memory", "folder", "allocator"):
        assert lines_of(printed, subject).startswith(("ok", "warning")), subject
    assert list(tmp_path.iterdir()) == []


def test_the_memory_of_a_recipe(tmp_path, capsys):
    (tmp_path / "text.txt").write_text("A line of text for a small model.\n" * 200)
    (tmp_path / "recipe.yaml").write_text(
        "task: causal_lm\n"
        "model: {preset: gpt1, config: {hidden_size: 16, num_hidden_layers: 1, num_attention_heads: 2}}\n"
        "tokenizer: {kind: byte_bpe, vocab_size: 300}\n"
        f"data: {{path: {tmp_path / 'text.txt'}}}\ntraining: {{max_steps: 1, tokens_per_batch: 512}}\n"
    )
    assert main(["doctor", "--output", str(tmp_path), "--recipe", str(tmp_path / "recipe.yaml")]) == 0
    assert "weights" in lines_of(capsys.readouterr().out, "recipe")


def test_a_folder_that_is_a_file(tmp_path, capsys):
    (tmp_path / "taken").write_text("")
    assert main(["doctor", "--output", str(tmp_path / "taken")]) == 1
    assert "is a file" in lines_of(capsys.readouterr().out, "folder")


def test_fewer_processes_than_wanted(tmp_path, capsys):
    assert main(["doctor", "--output", str(tmp_path), "--processes", "2"]) == 1
    said = lines_of(capsys.readouterr().out, "processes")
    assert "1 started" in said and "2 were asked for" in said and "torchrun --nproc_per_node 2" in said


def test_an_address_that_does_not_exist(tmp_path, capsys, monkeypatch):
    as_process(monkeypatch, address="no-such-host.invalid")
    assert main(["doctor", "--output", str(tmp_path)]) == 1
    assert "MASTER_ADDR" in lines_of(capsys.readouterr().out, "address")


def test_a_port_in_use(tmp_path, capsys, monkeypatch):
    with socket.socket() as other:
        other.bind(("0.0.0.0", 0))
        other.listen()
        as_process(monkeypatch, port=other.getsockname()[1])
        assert main(["doctor", "--output", str(tmp_path)]) == 1
    assert "used by another program" in lines_of(capsys.readouterr().out, "address")


def test_a_process_that_is_missing(tmp_path, capsys, monkeypatch):
    as_process(monkeypatch)
    assert main(["doctor", "--output", str(tmp_path), "--timeout", "1"]) == 1
    said = lines_of(capsys.readouterr().out, "meeting")
    assert "not all 2 processes" in said and "start the missing ones" in said


def test_an_interface_that_does_not_exist(tmp_path, capsys, monkeypatch):
    as_process(monkeypatch, address="no-such-host.invalid")
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "wrong9")
    assert main(["doctor", "--output", str(tmp_path)]) == 1
    assert "unset GLOO_SOCKET_IFNAME" in lines_of(capsys.readouterr().out, "interfaces")


def test_a_variable_that_is_no_number(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(ValueError, match="WORLD_SIZE is 'two'"):
        this_launch()


def test_a_finding_of_one_process_has_its_number():
    same = Finding("versions", Status.OK, "torch 2")
    found = shared([[same, Finding("folder", Status.OK, "there")], [same, Finding("folder", Status.PROBLEM, "full")]])
    assert [(finding.text, finding.rank) for finding in found] == [("torch 2", None), ("there", 0), ("full", 1)]
    table = findings_table(found)
    assert "[process 1] full" in table and table.splitlines()[-1].startswith("1 problem:")


def test_a_run_of_fewer_processes_than_asked_for_is_refused():
    check_launch(Launch(world_size=2, asked=2))
    with pytest.raises(ValueError, match="asked for 2 processes, but 1 of them was started"):
        check_launch(Launch(world_size=1, asked=2))


def test_a_model_that_accelerate_should_divide_is_refused(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    with pytest.raises(ValueError, match=r"asked for FSDP, .* distributed\.fsdp_size=1"):
        check_launch()
    assert main(["doctor", "--output", str(tmp_path)]) == 1
    assert "asked for FSDP" in lines_of(capsys.readouterr().out, "processes")


# Real processes.

MODULE = ["-m", "hf_vanilla_transformer.commands.main", "doctor"]


@pytest.mark.parametrize(
    ("content", "options", "asked", "divides"),
    [
        ("distributed_type: FSDP\nnum_processes: 2\n", [], 2, "FSDP"),
        ("distributed_type: DEEPSPEED\nnum_processes: 2\n", ["--num_processes", "4"], 4, "DEEPSPEED"),
        ("distributed_type: MULTI_CPU\nnum_processes: 2\n", ["--num-processes=1"], 1, None),
        ("- a list\n", [], None, None),
    ],
)
def test_the_file_of_accelerate_says_what_was_asked_for(content, options, asked, divides, tmp_path, monkeypatch):
    file = tmp_path / "accelerate.yaml"
    file.write_text(content)

    class Launcher:
        def cmdline(self):
            return ["/usr/bin/accelerate", "launch", "--config_file", str(file), *options, "train.py"]

    monkeypatch.setattr(psutil.Process, "parents", lambda self: [Launcher()])
    launch = this_launch()
    assert (launch.asked, launch.divides) == (asked, divides)


def started(ranks, folder_of, environment_of=lambda rank: {}, cwd_of=lambda rank: None):
    """The output and exit status of each of two processes."""
    port = free_port()
    processes = []
    for rank in ranks:
        values = dict(zip(GROUP_VARIABLES, map(str, (rank, 2, rank, 2, "127.0.0.1", port))))
        processes.append(
            subprocess.Popen(
                [sys.executable, *MODULE, "--output", str(folder_of(rank)), "--timeout", "120"],
                env={**os.environ, **values, **environment_of(rank)},
                cwd=cwd_of(rank),
                stdout=subprocess.PIPE,
                text=True,
            )
        )
    return [(process.communicate(timeout=300)[0], process.returncode) for process in processes]


@pytest.mark.slow
def test_two_processes_that_agree(tmp_path):
    (first, status), (second, other_status) = started((0, 1), lambda rank: tmp_path)
    assert (status, other_status) == (0, 0)
    for subject in ("meeting", "agreement", "shared folder", "all-reduce"):
        assert lines_of(first, subject).startswith("ok"), first
    assert second == ""  # the first process speaks for all


@pytest.mark.slow
def test_two_processes_that_look_at_different_folders(tmp_path):
    for rank in (0, 1):
        (tmp_path / str(rank)).mkdir()
    (first, status), (_, other_status) = started((0, 1), lambda rank: ".", cwd_of=lambda rank: tmp_path / str(rank))
    assert (status, other_status) == (1, 1)
    said = lines_of(first, "shared folder")
    assert said.startswith("problem") and "process 1 looks at" in said and "absolute path" in said


@pytest.mark.slow
def test_two_processes_with_different_versions(tmp_path):
    other = tmp_path / "other" / "datasets-99.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: datasets\nVersion: 99.0\n")
    paths = os.pathsep.join(filter(None, (str(other.parent), os.environ.get("PYTHONPATH"))))
    (first, status), _ = started(
        (0, 1), lambda rank: tmp_path, environment_of=lambda rank: {"PYTHONPATH": paths} if rank else {}
    )
    assert status == 1
    assert "datasets: process 0 has" in first and "process 1 has 99.0" in first


@pytest.mark.slow
def test_accelerate_that_starts_one_process_of_two(tmp_path):
    configuration = tmp_path / "accelerate.yaml"
    configuration.write_text("compute_environment: LOCAL_MACHINE\ndistributed_type: 'NO'\nnum_processes: 1\n")
    accelerate = Path(sys.executable).with_name("accelerate")
    command = [accelerate, "launch", "--config_file", configuration, "--cpu", "--num_processes", "2", *MODULE]
    done = subprocess.run([*map(str, command), "--output", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode != 0
    assert "1 started" in done.stdout and "2 were asked for" in done.stdout, done.stdout + done.stderr
