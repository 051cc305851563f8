"""An export without the library of its format raises an error with the installation command, before any work."""

import importlib.util

import pytest

from hf_vanilla_transformer import export_to
from hf_vanilla_transformer.commands.main import main
from hf_vanilla_transformer.conversion.exports import TARGETS


@pytest.fixture
def nothing_installed(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *arguments: None)


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "transformers"])
def test_the_message_names_the_extra(target, nothing_installed, tmp_path, capsys):
    with pytest.raises(ImportError, match=rf"pip install 'hf_vanilla_transformer\[{target}\]'"):
        export_to(tmp_path / "nowhere", tmp_path / "exported", target)
    (tmp_path / "config.json").write_text("{}")
    assert main(["export", str(tmp_path), "--output", str(tmp_path / "exported"), "--to", target]) == 2
    assert f"hf_vanilla_transformer[{target}]" in capsys.readouterr().err
