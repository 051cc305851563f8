"""A folder to the Hub in one commit: visible as a whole or not at all, and a second run finishes what a first began."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError, HFValidationError
from huggingface_hub.utils import validate_repo_id

# Files of an earlier version that would be loaded beside, or instead of, those of this one.
_REPLACED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*_vanilla*.py",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
# The HTTP library's own errors, whichever one this version of huggingface_hub uses, and what it raises for a file.
_FAILURES = (*HfHubHTTPError.__bases__, RuntimeError, ValueError)
_REASONS = {
    401: "the token is not accepted; log in with `hf auth login`, or set HF_TOKEN to a valid one",
    403: "the token may not write there; make one with write access at https://huggingface.co/settings/tokens",
    409: "the repository was changed by somebody else at the same time",
    412: "the repository was changed by somebody else at the same time",
    429: "too many requests; wait some minutes",
}


class PushError(OSError):
    """A push that did not go through. The message has the reason and never a token."""


@dataclass(frozen=True)
class Pushed:
    """What a push did.

    Attributes:
        url: of the model's page.
        commit: hash of the commit that holds the folder.
        changed: whether this push made it; False if everything was there already.
        removed: files of an earlier version that it deleted.
    """

    url: str
    commit: str
    changed: bool
    removed: tuple[str, ...] = ()


def check_repository_name(repository: str) -> None:
    """Raises ValueError unless the name is one that the Hub takes: `user/model`."""
    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f"{repository!r} is no name of a model on the Hub: {error}") from error
    if repository.count("/") != 1:
        raise ValueError(f"{repository!r} must be user/model: say in whose name the model is published.")


def push_folder(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    message: str = "Publish the model",
    token: str | None = None,
    endpoint: str | None = None,
) -> Pushed:
    """Publishes all files of a folder in one commit.

    Large files are sent first, by their content: what has arrived is not sent again by a later run. The commit at the
    end is the only step that anybody sees. It takes away weights, code and tokenizer files of an earlier version that
    this one has not, and leaves all other files of the repository alone.

    Args:
        folder: a flat folder, such as `export_folder` writes.
        repository: `user/model`; made if it is not there.
        private: for a new repository.
        message: of the commit.
        token: a token with write access; None takes that of `hf auth login` or HF_TOKEN.
        endpoint: of another Hub; None takes HF_ENDPOINT or the public one.

    Raises:
        ValueError: the name, no token, an empty folder, or `private` for a repository that is public.
        PushError: the Hub refused or could not be reached. The same call again goes on.
    """
    check_repository_name(repository)
    files = sorted(path for path in Path(folder).iterdir() if path.is_file())
    if not files:
        raise ValueError(f"{folder} is empty: there is nothing to publish.")
    token = token or get_token()
    if token is None:
        raise ValueError("There is no token to publish with: log in with `hf auth login`, or set HF_TOKEN.")
    failure = None
    try:
        return _push(HfApi(endpoint=endpoint, token=token), files, repository, private, message)
    except _FAILURES as error:
        failure = _explained(error, repository, token)
    # Raised out here, so that the error underneath, whose request carries the token, does not travel along.
    raise failure


def _push(api: HfApi, files: list[Path], repository: str, private: bool, message: str) -> Pushed:
    api.create_repo(repository, private=private, exist_ok=True)
    before = api.model_info(repository)
    if private and not before.private:
        raise _PublicAlready(
            f"{repository} is public already, and --private is for a new repository: make it private in its settings "
            "first, or choose another name."
        )
    names = {path.name for path in files}
    stale = sorted(
        sibling.rfilename
        for sibling in before.siblings or []
        if sibling.rfilename not in names and any(fnmatch(sibling.rfilename, pattern) for pattern in _REPLACED)
    )
    commit = api.create_commit(
        repository,
        [
            *(CommitOperationAdd(path_in_repo=path.name, path_or_fileobj=path) for path in files),
            *(CommitOperationDelete(path_in_repo=name) for name in stale),
        ],
        commit_message=message,
        # Somebody else's commit in between is an error, not a mixture of two models.
        parent_commit=before.sha,
    )
    return Pushed(
        url=f"{api.endpoint}/{repository}",
        commit=commit.oid,
        changed=commit.oid != before.sha,
        removed=tuple(stale),
    )


class _PublicAlready(ValueError):
    pass


def _explained(error: BaseException, repository: str, token: str) -> Exception:
    """The error as one sentence with a remedy, without the token."""
    text = str(error).replace(token, "***").strip()
    if isinstance(error, _PublicAlready):
        return ValueError(text)
    status = _status(error)
    reason = _REASONS.get(status) if status is not None else None
    if reason is None:
        reason = "the Hub has a problem of its own" if status is not None and status >= 500 else text
    elif text:
        reason += f" ({text.splitlines()[0]})"
    return PushError(
        f"{repository} was not published{f' (HTTP {status})' if status else ''}: {reason}. Nothing is half published. "
        "Run the same command again: it goes on, and sends no large file twice."
    )


def _status(error: BaseException | None) -> int | None:
    """The HTTP status behind an error, which may lie under others."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return response.status_code
        error = error.__cause__ or error.__context__
    return None
