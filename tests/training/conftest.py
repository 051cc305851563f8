import pytest

from .toy import write_pairs, write_texts


@pytest.fixture(scope="session")
def pairs(tmp_path_factory):
    """Folder of toy sentence pairs."""
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """Folder of toy texts."""
    return write_texts(tmp_path_factory.mktemp("texts"))
