"""Publishing: a folder with everything that a model needs, its card, and the upload to the Hub."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "ModelCardText": "model_card",
        "Publication": "publication",
        "PushError": "push",
        "Pushed": "push",
        "auto_map": "publishable_folder",
        "export_folder": "publishable_folder",
        "load_card_text": "card_text",
        "push_folder": "push",
        "read_card_text": "publication",
        "read_publication": "publication",
        "write_card": "model_card",
    },
)
