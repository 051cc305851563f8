"""Source and target languages of tokenizers that know several (mBART, M2M100, NLLB)."""

from __future__ import annotations

from typing import Any

from transformers import PreTrainedTokenizerBase


def set_source_language(tokenizer: PreTrainedTokenizerBase, language: str) -> None:
    """Sets the source language, whose token the tokenizer adds to each text.

    Args:
        tokenizer: a multilingual tokenizer, such as those of mBART, M2M100 and NLLB.
        language: its code as the tokenizer writes it, such as ``en``, ``en_XX`` or ``eng_Latn``.

    Raises:
        ValueError: the tokenizer has no languages, or does not know this one.
    """
    if not hasattr(tokenizer, "src_lang"):
        raise ValueError(
            f"src_lang={language!r}, but {type(tokenizer).__name__} has no languages. If the model expects the "
            "language in the text, give it with prefix= or --prefix, for example '>>fra<< '."
        )
    language_id(tokenizer, language, "src_lang")  # raises before the tokenizer is changed
    if tokenizer.src_lang != language:
        tokenizer.src_lang = language


def set_languages(tokenizer: PreTrainedTokenizerBase, source: str | None, target: str | None) -> dict[str, int]:
    """Sets the source and the target language of a tokenizer; None leaves a language unchanged.

    Args:
        tokenizer: a multilingual tokenizer, if a language is given.
        source: code of the source language, as the tokenizer writes it.
        target: code of the target language.

    Returns:
        Options for `generate`, with which the decoder begins with the token of `target`.

    Raises:
        ValueError: the tokenizer has no languages, or does not know one of these.
    """
    options = {} if target is None else {"forced_bos_token_id": language_id(tokenizer, target)}
    if source is not None:
        set_source_language(tokenizer, source)
    if target is not None:
        tokenizer.tgt_lang = target
    return options


def language_id(tokenizer: PreTrainedTokenizerBase, language: str, argument: str = "tgt_lang") -> int:
    """The id of the token of `language`, with which the decoder of a multilingual model begins.

    Args:
        tokenizer: a multilingual tokenizer.
        language: its code as the tokenizer writes it.
        argument: name of the argument in the error message.

    Raises:
        ValueError: the tokenizer has no languages, or does not know this one.
    """
    codes: dict[str, Any] = getattr(tokenizer, "lang_code_to_id", None) or {}
    if language in codes:
        return int(codes[language])
    if hasattr(tokenizer, "src_lang"):
        # The token of a language is its code in NLLB and mBART, and __en__ in M2M100.
        known = set(tokenizer.all_special_tokens) | set(tokenizer.get_added_vocab())
        for token in (language, f"__{language}__"):
            if token in known:
                return int(tokenizer.convert_tokens_to_ids(token))
        some = sorted(codes) or sorted(token for token in known if "_" in token)
        raise ValueError(
            f"{argument}={language!r} is not a language of {type(tokenizer).__name__}; "
            f"it knows {', '.join(some[:8])}{', ...' if len(some) > 8 else ''}."
        )
    raise ValueError(
        f"{argument}={language!r}, but {type(tokenizer).__name__} has no languages. If the model expects the language "
        "in the text, give it with prefix= or --prefix, for example '>>fra<< '."
    )
