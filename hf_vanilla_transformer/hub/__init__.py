"""Publishing: a folder with everything that a model needs, its card, and the upload to the Hub."""

from .card_text import load_card_text
from .export_folder import auto_map, export_folder
from .model_card import ModelCardText, write_card
from .publication import Publication, read_card_text, read_publication
from .push import Pushed, PushError, push_folder

__all__ = [
    "ModelCardText",
    "Publication",
    "PushError",
    "Pushed",
    "auto_map",
    "export_folder",
    "load_card_text",
    "push_folder",
    "read_card_text",
    "read_publication",
    "write_card",
]
