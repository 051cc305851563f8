import pytest

from .loopback import LoopbackHub


@pytest.fixture
def hub(monkeypatch):
    """A Hub on this machine, and a client in this process that does not wait between its tries."""
    # Xet has a protocol of its own that the loopback Hub does not speak; without it the client uses LFS.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with LoopbackHub() as server:
        yield server
