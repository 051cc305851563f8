"""The half of `hf-vanilla demo` that shows a model: its page in the browser, or the folder of a Space."""

from __future__ import annotations

import argparse


def run_page(arguments: argparse.Namespace) -> int:
    """Opens the page of `arguments.model` and serves it until it is interrupted, or writes its Space.

    Raises:
        ValueError: Gradio is missing, or the model has no use that the page could show.
        OSError: there is no such model, or the port is taken.
    """
    from ..web.page import build_page, import_gradio

    try:
        import_gradio()  # before a model is loaded for nothing
    except ImportError as error:
        raise ValueError(str(error)) from error
    languages = {"source_language": arguments.source_language, "target_language": arguments.target_language}
    if arguments.space is not None:
        from ..web.space import write_space

        folder = write_space(arguments.model, arguments.space, examples=arguments.example, **languages)
        print(f"{folder}: a Space. To publish it: hf upload --repo-type space USER/NAME {folder}")
        return 0

    from ..web.answers import ModelOnPage

    shown = ModelOnPage.load(
        arguments.model,
        device=arguments.device,
        trust_remote_code=bool(arguments.trust_remote_code),
        **languages,
    )
    page = build_page(shown, examples=arguments.example)
    host = arguments.host or "127.0.0.1"
    _, address, _ = page.launch(
        server_name=host, server_port=arguments.port, prevent_thread_lock=True, quiet=True, share=False, ssr_mode=False
    )
    print(f"{shown.name}: {address}   (Ctrl-C ends it)", flush=True)
    try:
        page.block_thread()
    finally:
        page.close(verbose=False)
    return 0
