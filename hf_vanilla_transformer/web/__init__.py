"""A web page for a model: translations, masked words or next tokens, and the attention weights behind them.

It needs Gradio: `pip install 'hf_vanilla_transformer[web]'`.
"""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "PageModel": "page_model",
        "attention_html": "drawings",
        "bars_html": "drawings",
        "build_page": "page",
        "launch_page": "server",
        "serve_page": "server",
        "write_space": "space",
    },
)
