"""transformers' own test mixins, from the source distribution of the version that is installed.

The wheel on the package index has no tests; the source distribution has the common ones (`tests/test_*.py`). They are
downloaded with pip once a version, into `.cache/` of the repository, and only their folder `tests` is unpacked, as the
package `transformers_tests`. What the source distribution lacks of the modules that they import is in `stand_ins/`:
both folders are portions of one namespace package, and the source distribution comes first.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path, PurePosixPath

import pytest
import transformers

from tests.old_transformers import is_older

REPOSITORY = Path(__file__).resolve().parents[2]
STAND_INS = Path(__file__).resolve().parent / "stand_ins"
PACKAGE = "transformers_tests"
_DOWNLOAD_SECONDS = 300


class SourceDistributionMissing(RuntimeError):
    """The package index could not be reached, or has no source distribution of this version."""


def cache_folder(version: str = transformers.__version__) -> Path:
    """Where the unpacked tests of one version lie."""
    return REPOSITORY / ".cache" / f"transformers-{version}-tests"


def unpack_tests(archive: Path, target: Path) -> Path:
    """Unpack the folder `tests` of a source distribution to `target/transformers_tests`, aside and then renamed.

    Only plain files below `<top>/tests/` are taken, and none whose name leads out of the target.

    Raises:
        SourceDistributionMissing: the archive has no tests.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".unpacking-") as aside:
        count = 0
        with tarfile.open(archive) as tar:
            for member in tar:
                parts = PurePosixPath(member.name).parts
                if not member.isfile() or len(parts) < 3 or parts[1] != "tests" or ".." in parts:
                    continue
                path = Path(aside, PACKAGE, *parts[2:])
                path.parent.mkdir(parents=True, exist_ok=True)
                with tar.extractfile(member) as content, path.open("wb") as file:
                    shutil.copyfileobj(content, file)
                count += 1
        if count == 0:
            raise SourceDistributionMissing(f"{archive.name} has no folder tests; another version may have it.")
        complete = Path(aside, "complete")
        complete.mkdir()
        os.rename(Path(aside, PACKAGE), complete / PACKAGE)
        try:
            os.rename(complete, target)
        except OSError:  # another process was faster
            if not (target / PACKAGE).is_dir():
                raise
    return target


def download(version: str, folder: Path) -> Path:
    """Fetch the source distribution of one version with pip, which builds its metadata only.

    Raises:
        SourceDistributionMissing: pip failed; its last lines are in the message.
    """
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "transformers"]
    command += ["--dest", str(folder), f"transformers=={version}"]
    try:
        finished = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise SourceDistributionMissing(f"pip did not answer within {_DOWNLOAD_SECONDS} seconds.") from None
    archives = sorted(folder.glob("transformers-*.tar.gz"))
    if not archives:
        last = " ".join(finished.stderr.strip().splitlines()[-2:]) or f"pip ended with {finished.returncode}"
        raise SourceDistributionMissing(f"no source distribution of transformers {version}: {last}")
    return archives[0]


def obtain(version: str = transformers.__version__) -> Path:
    """The folder with the unpacked tests, downloaded if it is not there yet.

    Raises:
        SourceDistributionMissing: it is not there and cannot be downloaded.
    """
    target = cache_folder(version)
    if not (target / PACKAGE).is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".downloading-") as folder:
            unpack_tests(download(version, Path(folder)), target)
    return target


def put_on_path(version: str = transformers.__version__) -> Path:
    """Obtain the tests and make `import transformers_tests` work, stand-ins included."""
    target = obtain(version)
    for folder in (STAND_INS, target):  # each goes in front of the last: the source distribution comes first
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
    return target


def put_on_path_or_skip() -> None:
    """For the head of a test module: `put_on_path`, or skip the module where the package index cannot be reached.

    With the environment variable CI set to true that is an error: continuous integration must run these tests.
    """
    if is_older():
        # 5.17's mixin for pipelines imports their tests, which the source distribution lacks.
        pytest.skip("the mixins of older versions import what their source distribution lacks", allow_module_level=True)
    try:
        put_on_path()
    except SourceDistributionMissing as reason:
        if os.environ.get("CI", "").lower() in {"1", "true"}:
            raise
        pytest.skip(f"transformers' own tests cannot be had: {reason}", allow_module_level=True)
