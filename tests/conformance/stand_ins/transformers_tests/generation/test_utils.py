"""The mark of a test class whose models generate.

The source distribution imports `GenerationTesterMixin` from here without containing it. Generation is tested by our
own tests in `tests/generation`; this class only says which testers they belong to.
"""


class GenerationTesterMixin:
    """Inherited by testers of models that can `generate`."""
