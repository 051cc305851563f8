"""The identifiers of licenses: those of the Hub, however they are written, and a remedy for others."""

import pytest

from hf_vanilla_transformer.hub.licenses import LICENSES, check_license


@pytest.mark.parametrize("name", ["mit", " MIT ", "Apache-2.0", "CC-BY-4.0", "other", "openrail++"])
def test_identifiers_are_written_as_the_hub_writes_them(name):
    assert check_license(name) == name.strip().lower() in LICENSES


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("foo", r"license='foo' is not one of the Hub's identifiers\. The Hub knows apache-2\.0.*license_name=NAME"),
        ("apache", r"It may be apache-2\.0\."),
        ("cc-by", r"It may be cc-by-\d\.\d"),
        ("appache-2.0", r"Did you mean 'apache-2\.0'"),
        ("", "not one of"),
    ],
)
def test_other_names_are_refused_with_the_nearest(name, message):
    with pytest.raises(ValueError, match=message):
        check_license(name)
