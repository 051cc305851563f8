"""The scripts that start many processes: they parse, and the commands in them are legal."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from hf_vanilla_transformer.commands.main import parse
from hf_vanilla_transformer.commands.recipe_options import overrides_of
from hf_vanilla_transformer.training.recipes.distributed_recipe import problem_of_processes
from hf_vanilla_transformer.training.recipes.training_recipe import load_recipe

SCRIPTS = Path(__file__).parents[2] / "scripts"
MAIN = "hf_vanilla_transformer.commands.main"


def checked(command):
    """Checks the words after our module in a command line; returns the arguments and the recipe of a new run."""
    words = command[command.index(MAIN) + 1 :]
    _, arguments = parse(words)
    if arguments.resume is not None:
        return arguments, None
    return arguments, load_recipe(arguments.recipe, overrides_of(arguments))


def run_with_stand_ins(script, folder, *arguments, **variables):
    """Runs a bash script where `srun` runs its arguments and the other programs print them; returns words of lines."""
    programs = {
        "srun": 'exec "$@"',
        "torchrun": 'echo torchrun "$@"; exit ${FAIL:-0}',
        "scontrol": 'if [ "$1" = show ]; then echo node1; else echo "$@"; fi',
    }
    (folder / "bin").mkdir()
    for name, line in programs.items():
        path = folder / "bin" / name
        path.write_text(f"#!/bin/bash\n{line}\n")
        path.chmod(0o755)
    environment = {**os.environ, **variables, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", script, "script", *arguments], env=environment, cwd=folder, capture_output=True, text=True
    )
    return done.returncode, [shlex.split(line) for line in done.stdout.splitlines()], done.stderr


SLURM = {"SLURM_JOB_NODELIST": "node[1-4]", "SLURM_JOB_NUM_NODES": "4", "SLURM_JOB_ID": "7"}


def test_a_slurm_job_starts_then_resumes_then_is_finished(tmp_path):
    script = (SCRIPTS / "slurm" / "train.sbatch").read_text()
    words = ["wmt14-en-de-base", "run", "--distributed.fsdp_size", "32"]
    code, lines, errors = run_with_stand_ins(script, tmp_path, *words, **SLURM)
    assert code == 0, errors
    arguments, recipe = checked(lines[0])
    assert arguments.output == "run"
    assert problem_of_processes(recipe.distributed, 4 * 8) is None
    assert lines[0][lines[0].index("--rdzv_endpoint") + 1] == "node1:29400"
    for name, resumed in (("recipe.yaml", True), ("results.json", False)):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / name).touch()
        (tmp_path / name).mkdir()
        link = tmp_path / name / "run"
        link.symlink_to(tmp_path / "run")
        code, lines, errors = run_with_stand_ins(script, tmp_path / name, *words[:2], **SLURM)
        assert code == 0, errors
        if resumed:
            assert checked(lines[0])[0].resume == "run"
        else:
            assert lines == [["run", "is", "finished."]]


@pytest.mark.parametrize(("begun", "restarts", "requeued"), [(True, 0, True), (True, 5, False), (False, 0, False)])
def test_a_slurm_job_is_requeued_once_the_run_has_begun(begun, restarts, requeued, tmp_path):
    script = (SCRIPTS / "slurm" / "train.sbatch").read_text()
    (tmp_path / "run").mkdir()
    if begun:
        (tmp_path / "run" / "recipe.yaml").touch()
    variables = {**SLURM, "FAIL": "1", "SLURM_RESTART_COUNT": str(restarts)}
    code, lines, _ = run_with_stand_ins(script, tmp_path, "wmt14-en-de-base", "run", **variables)
    assert code == 1
    assert (["requeue", "7"] in lines) == requeued


def test_the_sky_file_starts_a_legal_command(tmp_path):
    task = yaml.safe_load((SCRIPTS / "sky" / "train.yaml").read_text())
    nodes = {"SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2", "SKYPILOT_NUM_NODES": "2", "SKYPILOT_NODE_RANK": "1"}
    variables = {**task["envs"], **nodes, "SKYPILOT_NUM_GPUS_PER_NODE": "8"}
    code, lines, errors = run_with_stand_ins(task["run"], tmp_path, **variables)
    assert code == 0, errors
    arguments, recipe = checked(lines[0])
    assert arguments.output == "/runs/base" and recipe.training.tokens_per_batch == 3125
    assert lines[0][lines[0].index("--master_addr") + 1] == "10.0.0.1"


@pytest.mark.parametrize("path", sorted((SCRIPTS / "accelerate").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_files_of_accelerate_name_known_fields_and_a_legal_command(path):
    from accelerate.commands.config.config_args import ClusterConfig

    text = path.read_text()
    ClusterConfig.from_yaml_file(path)
    comment = " ".join(line.removeprefix("#").strip().rstrip("\\") for line in text.splitlines() if line[0] == "#")
    words = shlex.split(
        comment[comment.index("accelerate launch") :].split(" The recipe")[0].split("...")[0].replace("'", "")
    )
    if "--recipe" in words:
        checked(words)
