"""What the oldest transformers of `pyproject.toml` cannot do yet; `make test-floor` runs the tests with it."""

import pytest
import transformers
from packaging.version import Version

TESTED = "5.23"
"""The version in `constraints.txt`; between the floor and this one nothing is run."""


def skipped_before_tested(reason: str) -> pytest.MarkDecorator:
    """Skip a test where transformers is older than the tested version, for a fault that its 5.17 has."""
    return pytest.mark.skipif(is_older(), reason=f"transformers {transformers.__version__}: {reason}")


def is_older() -> bool:
    """Whether the installed transformers is older than the tested version."""
    return Version(transformers.__version__) < Version(TESTED)


CACHED_FSMT = skipped_before_tested("FSMT counts positions from 0 in every step that has a cache")
