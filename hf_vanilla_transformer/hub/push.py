"""Upload a folder to the Hub in one commit: it is published completely or not at all. A failed upload resumes."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError

from ..files import check_inside
from ..hub_names import check_repository_name

# Files of an earlier version that would be loaded in addition to, or instead of, the new ones.
_REPLACED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*_vanilla*.py",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "modules.json",
)
# Errors of the HTTP library that this version of huggingface_hub uses, and its errors for files.
_FAILURES = (*HfHubHTTPError.__bases__, RuntimeError, ValueError)
_REASONS = {
    401: "the token is invalid; log in with `hf auth login`, or set HF_TOKEN to a valid token",
    403: "the token has no write access; create one at https://huggingface.co/settings/tokens",
    409: "somebody else changed the repository at the same time",
    412: "somebody else changed the repository at the same time",
    429: "too many requests; wait a few minutes",
}


class PushError(OSError):
    """A failed upload. The message contains the reason and never a token."""


@dataclass(frozen=True)
class Pushed:
    """Result of an upload.

    Attributes:
        url: URL of the model's page.
        commit: hash of the commit that contains the folder.
        changed: whether this upload created the commit; False if all files were published before.
        removed: deleted files of an earlier version.
    """

    url: str
    commit: str
    changed: bool
    removed: tuple[str, ...] = ()


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

    Large files are uploaded first and addressed by their content, so a second call does not upload them again. Only the
    final commit is visible. It deletes weights, code and tokenizer files of an earlier version that the folder does not
    contain, and keeps all other files of the repository.

    Args:
        folder: the folder, such as the output of `export_folder`.
        repository: `user/model`; created if it does not exist.
        private: whether a new repository is private.
        message: the commit message.
        token: a token with write access; None for that of `hf auth login` or HF_TOKEN.
        endpoint: URL of another Hub; None for HF_ENDPOINT or the public Hub.

    Raises:
        ValueError: invalid name, no token, empty folder, hidden files or links to places outside the folder, or
            `private` for a public repository.
        PushError: the Hub refused the upload or is unreachable. The same call resumes it.
    """
    check_repository_name(repository)
    files = {path.relative_to(folder).as_posix(): path for path in sorted(Path(folder).rglob("*")) if path.is_file()}
    if not files:
        raise ValueError(f"The folder {folder} is empty: give a folder with a model.")
    check_inside(Path(folder), files.values())
    hidden = [name for name in files if f"/{name}".count("/.") and name != ".gitattributes"]
    if hidden:
        raise ValueError(f"The folder {folder} has hidden files, which may be private: remove {', '.join(hidden)}.")
    token = token or get_token()
    if token is None:
        raise ValueError("Publishing needs a token: log in with `hf auth login`, or set HF_TOKEN.")
    failure = None
    try:
        return _push(HfApi(endpoint=endpoint, token=token), files, repository, private, message)
    except _FAILURES as error:
        failure = _explained(error, repository, token)
    # Raised outside of `except`, so that the original error, whose request contains the token, is not chained.
    raise failure


def _push(api: HfApi, files: dict[str, Path], repository: str, private: bool, message: str) -> Pushed:
    api.create_repo(repository, private=private, exist_ok=True)
    before = api.model_info(repository)
    if private and not before.private:
        raise _PublicAlready(
            f"{repository} is public, and --private is only for new repositories: make it private in its settings, or "
            "choose another name."
        )
    stale = sorted(
        sibling.rfilename
        for sibling in before.siblings or []
        if sibling.rfilename not in files and any(fnmatch(sibling.rfilename, pattern) for pattern in _REPLACED)
    )
    commit = api.create_commit(
        repository,
        [
            *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=path) for name, path in files.items()),
            *(CommitOperationDelete(path_in_repo=name) for name in stale),
        ],
        commit_message=message,
        # A concurrent commit raises an error instead of mixing two models.
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
    """The error with a reason and a remedy, without the token."""
    text = str(error).replace(token, "***").strip()
    if isinstance(error, _PublicAlready):
        return ValueError(text)
    status = _status(error)
    reason = _REASONS.get(status) if status is not None else None
    if reason is None:
        reason = "server error of the Hub" if status is not None and status >= 500 else text
    elif text:
        reason += f" ({text.splitlines()[0]})"
    return PushError(
        f"{repository} was not published{f' (HTTP {status})' if status else ''}: {reason}. The repository is "
        "unchanged. Run the same command again: it resumes and does not upload large files twice."
    )


def _status(error: BaseException | None) -> int | None:
    """The HTTP status of an error or of its causes; None if there is none."""
    while error is not None:
        response = getattr(error, "response", None)
        if response is not None:
            return response.status_code
        error = error.__cause__ or error.__context__
    return None
