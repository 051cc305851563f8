"""Attention maps over words, word alignments, explanations of a forward pass, and drawings of dependency trees."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "AttentionMap": "attention_map",
        "attention_alignment": "alignment",
        "cross_attention": "attention_map",
        "explain": "explanation",
        "plot_attention": "attention_plot",
        "plot_attention_heads": "attention_plot",
        "self_attention": "attention_map",
        "trace_forward": "forward_trace",
        "tree_svg": "dependency_tree",
        "tree_text": "dependency_tree",
    },
)
