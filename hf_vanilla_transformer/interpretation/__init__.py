"""Attention maps over words, pictures of them, word alignments, and drawings of dependency trees."""

from .alignment import attention_alignment
from .attention_map import AttentionMap, cross_attention, self_attention
from .attention_plot import plot_attention, plot_attention_heads
from .dependency_tree import tree_svg, tree_text

__all__ = [
    "AttentionMap",
    "attention_alignment",
    "cross_attention",
    "plot_attention",
    "plot_attention_heads",
    "self_attention",
    "tree_svg",
    "tree_text",
]
