"""Export to other formats. Every exported model is run and compared with the original before its folder is created."""

from ...lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "Check": "protocol",
        "ExportReport": "protocol",
        "TARGETS": "targets",
        "export_to": "verified_export",
    },
)
