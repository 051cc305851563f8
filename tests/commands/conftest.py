import pytest

from hf_vanilla_transformer.training import run_training

from ..training.toy import toy_recipe, write_pairs


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Folder of toy sentence pairs."""
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def trained(pairs, tmp_path_factory):
    """Folder of a trained toy model with two checkpoints."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    run_training(toy_recipe(pairs, folder, "checkpoint={save_steps: 6, save_total_limit: 2}"))
    return folder
