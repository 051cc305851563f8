"""Exporting with `torch.export`.

The source distribution imports `ExportTesterMixin` from here without containing it; these are tests of our own, which
run on the transformers models too.
"""

from __future__ import annotations

import torch

_TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}


class ExportTesterMixin:
    """Every model class exports as one graph that computes the same as the model, at other sizes too."""

    def _inputs_for_export(self, model_class):
        config, inputs = self.model_tester.prepare_config_and_inputs_for_common()
        inputs = self._prepare_for_class(inputs, model_class)
        config.use_cache = False
        return config, {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}

    def test_export_equals_model(self):
        if not self.test_torch_exportable:
            self.skipTest("the tester says that this model cannot be exported")
        for model_class in self.all_model_classes:
            with self.subTest(model_class.__name__):
                config, inputs = self._inputs_for_export(model_class)
                model = model_class(config).eval()
                with torch.no_grad():
                    exported = torch.export.export(model, args=(), kwargs=inputs, strict=False)
                    expected, output = model(**inputs)[0], exported.module()(**inputs)[0]
                torch.testing.assert_close(output, expected, **_TOLERANCE)

    def test_export_with_dynamic_batch(self):
        if not self.test_torch_exportable:
            self.skipTest("the tester says that this model cannot be exported")
        model_class = self.all_model_classes[-1]
        config, inputs = self._inputs_for_export(model_class)
        model = model_class(config).eval()
        batch = torch.export.Dim("batch", min=2, max=64)
        shapes = {name: {0: batch} for name in inputs}
        fewer = {name: value[:-1] for name, value in inputs.items()}
        with torch.no_grad():
            exported = torch.export.export(model, args=(), kwargs=inputs, dynamic_shapes=shapes, strict=False)
            torch.testing.assert_close(exported.module()(**fewer)[0], model(**fewer)[0], **_TOLERANCE)
