"""What pytest must know about this folder."""

import pytest

# The stand-ins are parts of the package `transformers_tests`, not tests to collect.
collect_ignore = ["stand_ins"]

# Marks that the mixins carry.
_MARKS = (
    "accelerate_tests",
    "flash_attn_test",
    "flash_attn_3_test",
    "flash_attn_4_test",
    "generate",
    "is_expert_parallel_test",
    "is_fsdp_test",
    "is_pipeline_test",
    "is_tensor_parallel_test",
    "is_training_test",
    "order",
    "torch_compile_test",
    "torch_export_test",
)


def pytest_configure(config):
    """Make the mixins' marks known; the repository's settings refuse unknown ones."""
    for mark in _MARKS:
        config.addinivalue_line("markers", f"{mark}: of transformers' own tests")


# Each of these starts two or four processes. A few of each kind, in one stack, run always; the others are slow.
_SEVERAL_PROCESSES = ("test_fsdp2_", "test_hsdp_", "test_tp_forward", "test_tp_backward", "test_tp_generation")
_RUN_ALWAYS = {
    ("TestDecoder", "test_tp_forward_1"),
    ("TestDecoder", "test_tp_backward"),
    ("TestDecoder", "test_fsdp2_save_load"),
    ("TestTransformer", "test_tp_forward_0"),
}
# These train, or save and load in every type, for seconds each.
_LONG = ("test_training_overfit", "test_bc_torch_dtype")


def pytest_collection_modifyitems(items):
    """Mark as slow what starts several processes and what is long."""
    for item in items:
        place = (getattr(getattr(item, "cls", None), "__name__", ""), item.name)
        if item.name.startswith(_LONG) or (item.name.startswith(_SEVERAL_PROCESSES) and place not in _RUN_ALWAYS):
            item.add_marker(pytest.mark.slow)
