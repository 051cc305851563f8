"""Publishing over HTTP to a Hub on this machine, with faults: one commit, nothing half published, no token shown."""

import traceback

import pytest

from hf_vanilla_transformer.hub import PushError, push_folder

from .loopback import TOKEN, Fault

NAME = "someone/model"
DOWN = 10**6


@pytest.fixture
def folder(tmp_path):
    """A folder that looks like a published model; what is in the weights does not matter here."""
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


def test_a_second_run_changes_nothing_and_sends_nothing(hub, folder):
    first = push(hub, folder)
    hub.requests.clear()
    second = push(hub, folder)
    assert second.commit == first.commit and not second.changed
    assert hub.count("PUT", "/lfs/") == 0 and hub.count("POST", "/commit/") == 0


def test_a_new_version_takes_away_what_would_be_loaded_instead_of_it(hub, folder):
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


def test_a_large_file_goes_in_parts(hub, folder):
    hub.multipart_over = 300_000
    push(hub, folder)
    assert published(hub) == contents(folder)
    assert hub.count("PUT", r"/lfs/\w+/\d+") == 4 and hub.count("POST", "/complete") == 1


def test_a_private_repository(hub, folder):
    push(hub, folder, private=True)
    assert hub.repositories[NAME].private
    assert not push(hub, folder, private=True).changed


def test_private_is_refused_for_what_everybody_sees_already(hub, folder):
    push(hub, folder)
    (folder / "config.json").write_text("{}")
    with pytest.raises(ValueError, match="is public already"):
        push(hub, folder, private=True)
    assert len(hub.repositories[NAME].commits) == 2


# Where it fails, how, what the message says, and whether the weights have arrived by then.
FAULTS = {
    "cut while the weights are sent": (Fault("PUT", "/lfs/", times=DOWN), "not published", False),
    "cut at create": (Fault("POST", "/api/repos/create", times=DOWN), "not published", False),
    "cut at commit": (Fault("POST", "/commit/", times=DOWN), "not published", True),
    "401 at create": (Fault("POST", "/api/repos/create", 401, DOWN), "hf auth login", False),
    "401 at preupload": (Fault("POST", "/preupload/", 401, DOWN), "hf auth login", False),
    "403 at commit": (Fault("POST", "/commit/", 403, DOWN), "may not write", True),
    "409 at commit": (Fault("POST", "/commit/", 409, DOWN), "somebody else", True),
    "429 at the LFS batch": (Fault("POST", "/objects/batch", 429, DOWN), "wait some minutes", False),
    "429 at commit": (Fault("POST", "/commit/", 429, DOWN), "wait some minutes", True),
    "500 at commit": (Fault("POST", "/commit/", 500, DOWN), "a problem of its own", True),
    "502 at create": (Fault("POST", "/api/repos/create", 502, DOWN), "a problem of its own", False),
    "503 while the weights are sent": (Fault("PUT", "/lfs/", 503, DOWN), "a problem of its own", False),
    "504 at verify": (Fault("POST", "/objects/verify", 504, DOWN), "a problem of its own", True),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_failure_publishes_nothing_and_the_next_run_finishes(hub, folder, case, caplog):
    fault, message, arrived = FAULTS[case]
    hub.faults.append(fault)
    with pytest.raises(PushError, match=message) as raised:
        push(hub, folder)
    assert hub.visible(NAME) == set()
    shown = "".join(traceback.format_exception(raised.value)) + caplog.text
    assert TOKEN not in shown
    assert raised.value.__cause__ is None and raised.value.__context__ is None, "the request underneath has the token"
    assert "Run the same command again" in str(raised.value)

    hub.faults.clear()
    hub.requests.clear()
    assert push(hub, folder).changed
    assert published(hub) == contents(folder)
    assert len(hub.repositories[NAME].commits) == 2
    if arrived:
        assert hub.count("PUT", "/lfs/") == 0, "what had arrived was sent again"


@pytest.mark.parametrize("status", [None, 429, 500, 503])
@pytest.mark.parametrize("path", ["/lfs/", "/objects/batch", "/preupload/"])
def test_what_passes_by_itself_is_waited_for(hub, folder, status, path):
    hub.faults.append(Fault("PUT" if path == "/lfs/" else "POST", path, status, times=2))
    assert push(hub, folder).changed
    assert published(hub) == contents(folder)
    assert len(hub.repositories[NAME].commits) == 2


def test_one_of_two_files_that_arrived_is_not_sent_again(hub, folder):
    hub.faults.append(Fault("PUT", "/lfs/", skip=1, times=DOWN))
    with pytest.raises(PushError):
        push(hub, folder)
    assert len(hub.objects) == 1
    hub.faults.clear()
    hub.requests.clear()
    push(hub, folder)
    assert hub.count("PUT", "/lfs/") == 1
    assert published(hub) == contents(folder)


def test_an_answer_lost_after_the_commit_leaves_one_commit(hub, folder):
    hub.faults.append(Fault("POST", "/commit/", late=True))
    with pytest.raises(PushError, match="Run the same command again"):
        push(hub, folder)
    again = push(hub, folder)
    assert not again.changed and published(hub) == contents(folder)
    assert len(hub.repositories[NAME].commits) == 2


def test_somebody_elses_commit_in_between_is_no_mixture(hub, folder, monkeypatch):
    push(hub, folder)
    (folder / "config.json").write_text("{}")
    answer = hub._answer_preupload

    def meanwhile(*arguments):
        hub._commit(NAME, "By somebody else", {"config.json": b"theirs"}, frozenset())
        return answer(*arguments)

    monkeypatch.setattr(hub, "_answer_preupload", meanwhile)
    with pytest.raises(PushError, match="somebody else"):
        push(hub, folder)
    assert hub.repositories[NAME].head.message == "By somebody else"


def test_a_wrong_token_is_refused_and_not_shown(hub, folder):
    wrong = TOKEN[::-1]
    with pytest.raises(PushError, match="hf auth login") as raised:
        push_folder(folder, NAME, token=wrong, endpoint=hub.url)
    assert wrong not in "".join(traceback.format_exception(raised.value))
    assert not hub.repositories


def test_a_card_that_the_hub_does_not_take_is_named(hub, folder):
    (folder / "README.md").write_text("---\n- no mapping\n---\n# model\n")
    with pytest.raises(PushError, match=r"metadata must be a mapping|README"):
        push(hub, folder)
    assert hub.visible(NAME) == set()


def test_bad_arguments_are_refused_before_anything_is_asked(hub, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("hf_vanilla_transformer.hub.push.get_token", lambda: None)
    with pytest.raises(ValueError, match="must be user/model"):
        push_folder(folder, "model", token=TOKEN, endpoint=hub.url)
    with pytest.raises(ValueError, match="no name of a model on the Hub"):
        push_folder(folder, "some one/model", token=TOKEN, endpoint=hub.url)
    with pytest.raises(ValueError, match="There is no token"):
        push_folder(folder, NAME, endpoint=hub.url)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="is empty"):
        push_folder(tmp_path / "empty", NAME, token=TOKEN, endpoint=hub.url)
    assert not hub.requests
