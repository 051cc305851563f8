"""Published folders load by every Auto class: with this package, or without it if their code is trusted."""

from hf_vanilla_transformer.models.registration import AUTO_CLASSES

from .clean_environment import COLUMNS, STACKS, matrix, table


def test_every_stack_loads_by_every_auto_class_with_and_without_the_package(tmp_path):
    cells = matrix(tmp_path)
    assert all(cell.expected for cell in cells), "\n" + table(cells)
    tried = {(cell.stack, cell.auto_class, cell.column) for cell in cells}
    for stack, heads in zip(STACKS, AUTO_CLASSES.values()):
        for auto_class in ("AutoTokenizer", "AutoConfig", *heads):
            assert all((stack, auto_class, column) in tried for column in COLUMNS)
