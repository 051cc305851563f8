"""Which language goes in and which comes out, for tokenizers that know several (mBART, M2M100, NLLB)."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase


def set_source_language(tokenizer: PreTrainedTokenizerBase, language: str) -> None:
    """Makes `tokenizer` frame texts as ones of this language.

    Args:
        tokenizer: one that marks the source language, such as those of mBART, M2M100 and NLLB.
        language: its code as the tokenizer writes it, such as ``en``, ``en_XX`` or ``eng_Latn``.

    Raises:
        ValueError: the tokenizer has no languages, or not this one.
    """
    if not hasattr(tokenizer, "src_lang"):
        raise ValueError(
            f"src_lang={language!r}, but {type(tokenizer).__name__} has no languages. If the model reads the language "
            "from the text, give the words with prefix=, for example prefix='>>fra<< '."
        )
    language_id(tokenizer, language, "src_lang")  # before the tokenizer is changed
    if tokenizer.src_lang != language:
        tokenizer.src_lang = language


def set_languages(tokenizer: PreTrainedTokenizerBase, source: str | None, target: str | None) -> dict[str, int]:
    """Makes `tokenizer` frame sources and translations as texts of these languages; None leaves it as it is.

    Args:
        tokenizer: one that marks languages, if any is given.
        source: the source's code, as the tokenizer writes it.
        target: the translation's.

    Returns:
        Options for `generate`, which make the decoder begin in `target`.

    Raises:
        ValueError: the tokenizer has no languages, or not these.
    """
    options = {} if target is None else {"forced_bos_token_id": language_id(tokenizer, target)}
    if source is not None:
        set_source_language(tokenizer, source)
    if target is not None:
        tokenizer.tgt_lang = target
    return options


def language_id(tokenizer: PreTrainedTokenizerBase, language: str, argument: str = "tgt_lang") -> int:
    """The token that stands for `language`, with which the decoder of such a model begins.

    Args:
        tokenizer: one that knows languages.
        language: its code as the tokenizer writes it.
        argument: how the caller named it, for the message.

    Raises:
        ValueError: the tokenizer has no languages, or not this one.
    """
    codes: dict[str, Any] = getattr(tokenizer, "lang_code_to_id", None) or {}
    if language in codes:
        return int(codes[language])
    if hasattr(tokenizer, "src_lang"):
        # NLLB and mBART have languages as tokens of their own name, M2M100 as __en__.
        known = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
        for token in (language, f"__{language}__"):
            if token in known:
                return int(tokenizer.convert_tokens_to_ids(token))
        some = sorted(codes) or sorted(token for token in known if "_" in token)
        raise ValueError(
            f"{argument}={language!r} is no language of {type(tokenizer).__name__}; "
            f"it knows {', '.join(some[:8])}{' ...' if len(some) > 8 else ''}."
        )
    raise ValueError(
        f"{argument}={language!r}, but {type(tokenizer).__name__} has no languages. If the model reads the language "
        "from the text, give the words with prefix=, for example prefix='>>fra<< '."
    )
