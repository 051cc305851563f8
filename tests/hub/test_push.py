"""Uploads over HTTP to a local Hub, with faults: one commit, no partial version, no token in messages."""

import os
import traceback

import pytest

from hf_vanilla_transformer.hub import PushError, push_folder

from .loopback import TOKEN, Fault

NAME = "someone/model"
DOWN = 10**6


@pytest.fixture
def folder(tmp_path):
    """A folder like a published model, with arbitrary bytes as weights."""
    made = tmp_path / "model"
    made.mkdir()
    (made / "config.json").write_text('{"model_type": "vanilla_encoder"}')
    (made / "model.safetensors").write_bytes(bytes(range(256)) * 4000)
    (made / "curves.png").write_bytes(b"\x89PNG" + bytes(2000))
    (made / "README.md").write_text("---\nlibrary_name: transformers\n---\n# model\n")
    (made / "stack_vanilla.py").write_text("print('hello')\n")
    return made


def push(hub, folder, **options):
    return push_folder(folder, NAME, token=TOKEN, endpoint=hub.url, **options)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def published(hub):
    return {name: content for name, content in hub.repositories[NAME].head.files.items() if name != ".gitattributes"}


def test_a_folder_is_published_in_one_commit(hub, folder):
    pushed = push(hub, folder, message="The first version")
    assert published(hub) == contents(folder)
    assert [commit.message for commit in hub.repositories[NAME].commits] == ["initial commit", "The first version"]
    assert pushed.commit == hub.repositories[NAME].head.oid
    assert pushed.changed and pushed.url == f"{hub.url}/{NAME}" and not hub.repositories[NAME].private
    assert hub.repositories[NAME].head.lfs == {"model.safetensors", "curves.png"}


@pytest.mark.skipif(os.name == "nt", reason="links need privileges on Windows")
def test_links_to_private_files_and_hidden_files_are_refused_by_name(hub, folder, tmp_path):
    (tmp_path / "private.txt").write_text("secret")
    (folder / "leak.txt").symlink_to(tmp_path / "private.txt")
    with pytest.raises(ValueError, match=r"leak\.txt is a link to .*private\.txt, outside"):
        push(hub, folder)
    (folder / "leak.txt").unlink()
    (folder / "same.md").symlink_to("README.md")
    (folder / ".env").write_text("TOKEN=secret")
    with pytest.raises(ValueError, match=r"hidden files.*\.env"):
        push(hub, folder)
    assert not hub.requests
    (folder / ".env").unlink()
    push(hub, folder)
    assert published(hub) == contents(folder)


def test_a_second_upload_changes_nothing_and_sends_nothing(hub, folder):
    first = push(hub, folder)
    hub.requests.clear()
    second = push(hub, folder)
    assert second.commit == first.commit and not second.changed
    assert hub.count("PUT", "/lfs/") == 0 and hub.count("POST", "/commit/") == 0


def test_the_folders_of_sentence_transformers_are_published(hub, folder):
    (folder / "modules.json").write_text("[]")
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text("{}")
    push(hub, folder)
    assert published(hub)["1_Pooling/config.json"] == b"{}"
    (folder / "modules.json").unlink()
    assert push(hub, folder).removed == ("modules.json",)


def test_a_new_version_deletes_old_files_that_would_be_loaded_instead(hub, folder):
    (folder / "model-00001-of-00002.safetensors").write_bytes(b"old")
    (folder / "model.safetensors.index.json").write_text("{}")
    push(hub, folder)
    (folder / "model-00001-of-00002.safetensors").unlink()
    (folder / "model.safetensors.index.json").unlink()
    (folder / "config.json").write_text('{"model_type": "vanilla_decoder"}')
    hub.repositories[NAME].head.files["notes.txt"] = b"written on the Hub by its owner"
    pushed = push(hub, folder)
    assert pushed.removed == ("model-00001-of-00002.safetensors", "model.safetensors.index.json")
    assert published(hub) == {**contents(folder), "notes.txt": b"written on the Hub by its owner"}
    assert len(hub.repositories[NAME].commits) == 3


def test_a_large_file_is_uploaded_in_parts(hub, folder):
    hub.multipart_over = 300_000
    push(hub, folder)
    assert published(hub) == contents(folder)
    assert hub.count("PUT", r"/lfs/\w+/\d+") == 4 and hub.count("POST", "/complete") == 1


def test_a_private_repository(hub, folder):
    push(hub, folder, private=True)
    assert hub.repositories[NAME].private
    assert not push(hub, folder, private=True).changed


def test_private_is_refused_for_a_public_repository(hub, folder):
    push(hub, folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=rf"{NAME} .*--private"):
        push(hub, folder, private=True)
    assert len(hub.repositories[NAME].commits) == 2


# The fault, a part of the message, and whether the weights were uploaded before the failure.
FAULTS = {
    "cut while the weights are uploaded": (Fault("PUT", "/lfs/", times=DOWN), "not published", False),
    "cut at create": (Fault("POST", "/api/repos/create", times=DOWN), "not published", False),
    "cut at commit": (Fault("POST", "/commit/", times=DOWN), "not published", True),
    "401 at create": (Fault("POST", "/api/repos/create", 401, DOWN), "HTTP 401.*hf auth login", False),
    "401 at preupload": (Fault("POST", "/preupload/", 401, DOWN), "HTTP 401.*hf auth login", False),
    "403 at commit": (Fault("POST", "/commit/", 403, DOWN), "HTTP 403.*access", True),
    "409 at commit": (Fault("POST", "/commit/", 409, DOWN), "HTTP 409", True),
    "429 at the LFS batch": (Fault("POST", "/objects/batch", 429, DOWN), "HTTP 429.*wait", False),
    "429 at commit": (Fault("POST", "/commit/", 429, DOWN), "HTTP 429.*wait", True),
    "500 at commit": (Fault("POST", "/commit/", 500, DOWN), "HTTP 500", True),
    "502 at create": (Fault("POST", "/api/repos/create", 502, DOWN), "HTTP 502", False),
    "503 while the weights are uploaded": (Fault("PUT", "/lfs/", 503, DOWN), "HTTP 503", False),
    "504 at verify": (Fault("POST", "/objects/verify", 504, DOWN), "HTTP 504", True),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_failed_upload_publishes_nothing_and_the_next_one_finishes(hub, folder, case, caplog):
    fault, message, arrived = FAULTS[case]
    hub.faults.append(fault)
    with pytest.raises(PushError, match=message) as raised:
        push(hub, folder)
    assert hub.visible(NAME) == set()
    shown = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert TOKEN not in shown
    assert raised.value.__cause__ is None and raised.value.__context__ is None, "its request has the token"
    assert NAME in str(raised.value) and "same command again" in str(raised.value)

    hub.faults.clear()
    hub.requests.clear()
    assert push(hub, folder).changed
    assert published(hub) == contents(folder)
    assert len(hub.repositories[NAME].commits) == 2
    if arrived:
        assert hub.count("PUT", "/lfs/") == 0, "uploaded files were uploaded again"


@pytest.mark.parametrize("status", [None, 429, 500, 503])
@pytest.mark.parametrize("path", ["/lfs/", "/objects/batch", "/preupload/"])
def test_temporary_faults_are_retried(hub, folder, status, path):
    hub.faults.append(Fault("PUT" if path == "/lfs/" else "POST", path, status, times=2))
    assert push(hub, folder).changed
    assert published(hub) == contents(folder)
    assert len(hub.repositories[NAME].commits) == 2


def test_an_uploaded_file_is_not_uploaded_again(hub, folder):
    hub.faults.append(Fault("PUT", "/lfs/", skip=1, times=DOWN))
    with pytest.raises(PushError):
        push(hub, folder)
    assert len(hub.objects) == 1
    hub.faults.clear()
    hub.requests.clear()
    push(hub, folder)
    assert hub.count("PUT", "/lfs/") == 1
    assert published(hub) == contents(folder)


def test_a_lost_answer_to_the_commit_does_not_lead_to_a_second_commit(hub, folder):
    hub.faults.append(Fault("POST", "/commit/", late=True))
    with pytest.raises(PushError, match="same command again"):
        push(hub, folder)
    again = push(hub, folder)
    assert not again.changed and published(hub) == contents(folder)
    assert len(hub.repositories[NAME].commits) == 2


def test_a_concurrent_commit_is_an_error(hub, folder, monkeypatch):
    push(hub, folder)
    (folder / "config.json").write_text("{}")
    answer = hub._answer_preupload

    def meanwhile(*arguments):
        hub._commit(NAME, "By somebody else", {"config.json": b"theirs"}, frozenset())
        return answer(*arguments)

    monkeypatch.setattr(hub, "_answer_preupload", meanwhile)
    with pytest.raises(PushError, match="HTTP 412"):
        push(hub, folder)
    assert hub.repositories[NAME].head.message == "By somebody else"


def test_a_wrong_token_is_refused_and_not_printed(hub, folder):
    wrong = TOKEN[::-1]
    with pytest.raises(PushError, match="hf auth login") as raised:
        push_folder(folder, NAME, token=wrong, endpoint=hub.url)
    assert wrong not in "".join(traceback.format_exception(raised.value))
    assert not hub.repositories


def test_an_invalid_card_is_named(hub, folder):
    (folder / "README.md").write_text("---\n- no mapping\n---\n# model\n")
    with pytest.raises(PushError, match=r"metadata must be a mapping|README"):
        push(hub, folder)
    assert hub.visible(NAME) == set()


def test_bad_arguments_are_refused_before_any_request(hub, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_vanilla_transformer.hub.push.get_token", lambda: None)
    with pytest.raises(ValueError, match=r"repository='model'.*user/model"):
        push_folder(folder, "model", token=TOKEN, endpoint=hub.url)
    with pytest.raises(ValueError, match="repository='some one/model'"):
        push_folder(folder, "some one/model", token=TOKEN, endpoint=hub.url)
    with pytest.raises(ValueError, match="HF_TOKEN"):
        push_folder(folder, NAME, endpoint=hub.url)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"/empty .*empty"):
        push_folder(tmp_path / "empty", NAME, token=TOKEN, endpoint=hub.url)
    assert not hub.requests
