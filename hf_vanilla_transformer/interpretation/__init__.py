"""What the attention looks at: maps of words, pictures of them, and alignments; dependency trees to look at."""

from .alignment import attention_alignment
from .attention_map import AttentionMap, cross_attention, self_attention
from .dependency_tree import tree_svg, tree_text
from .plot import plot_attention, plot_attention_heads

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
