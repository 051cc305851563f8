"""What pytest must know about this folder."""

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
