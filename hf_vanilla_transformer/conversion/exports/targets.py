"""The formats of `export_to`, known without importing what writes them."""

# Format: its module, and the libraries whose versions the report records.
MODULES = {
    "transformers": ("to_transformers", ()),
    "ctranslate2": ("to_ctranslate2", ("ctranslate2",)),
    "onnx": ("to_onnx", ("onnx", "onnxscript", "onnxruntime")),
    "gguf": ("to_gguf", ("gguf",)),
}
TARGETS = tuple(MODULES)
