import pytest

from .loopback import LoopbackHub


@pytest.fixture
def hub(monkeypatch):
    """A local Hub; the client in this process does not wait between retries."""
    # The local Hub does not support Xet; without it the client uses LFS.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with LoopbackHub() as server:
        yield server
