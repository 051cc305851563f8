"""Publishing: a folder that holds all that a model needs, and the card that describes it."""

from .export import auto_map, export_folder
from .model_card import ModelCardText, write_card

__all__ = ["ModelCardText", "auto_map", "export_folder", "write_card"]
