"""Public names of a package that are imported when they are first used."""

import pytest

from hf_vanilla_transformer.lazy_names import lazy_names


def test_a_name_that_is_also_a_module_is_refused():
    """`from package import name` would give the function or the module, whichever was imported last."""
    with pytest.raises(ValueError, match=r"a_package\.export_folder is a public name and a module"):
        lazy_names("a_package", {"auto_map": "export_folder", "export_folder": "export_folder"})
