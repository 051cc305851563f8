"""Trains tokenizers. The same texts give the same `tokenizer.json`, byte for byte, in every process."""

import json
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal, get_args

from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from .components import CONTINUATION, END_OF_WORD, TokenizerComponents, TokenizerKind, UnicodeForm, build_components
from .templates import TEMPLATES, SpecialTokenTemplate
from .text_batches import TextBatches, text_batches
from .unigram import train_unigram

logger = logging.getLogger(__name__)

_BYTE_TOKENS = tuple(f"<0x{byte:02X}>" for byte in range(256))


def train_tokenizer(
    texts: Any,
    *,
    kind: TokenizerKind = "byte_bpe",
    vocab_size: int,
    template: Literal["seq2seq", "encoder", "decoder"],
    lowercase: bool = False,
    strip_accents: bool = False,
    unicode_form: UnicodeForm | None = "nfc",
    pretokenized: bool = False,
    min_frequency: int = 2,
    limit_alphabet: int | None = None,
    byte_fallback: bool = False,
    model_max_length: int | None = None,
    columns: Sequence[str] | None = None,
) -> PreTrainedTokenizerFast:
    """Trains a subword tokenizer for one of the three stacks.

    The result is deterministic. `save_pretrained` saves files that `AutoTokenizer.from_pretrained` loads without this
    package.

    Args:
        texts: strings (an iterable), text files or folders of them (one text per line), or a `datasets.Dataset` or
            `IterableDataset` such as `load_pairs` and `load_texts` return.
        kind: `"byte_bpe"` is BPE on bytes (GPT-2); it has no unknown tokens, and decoding restores the text exactly.
            `"bpe"` is BPE with end-of-word suffixes (Sennrich et al. 2016), as in section 5.1 of the paper, for text
            whose words are separated by spaces. `"wordpiece"` is BERT's algorithm. `"unigram"` is the unigram language
            model of Kudo 2018; at the same size, the trainer of `tokenizers` makes shorter pieces than SentencePiece.
        vocab_size: the size of the vocabulary with special tokens. The vocabulary is smaller, with a warning, if the
            texts are too short to fill it.
        template: the stack of the model, which determines the special tokens and their positions.
        lowercase: convert texts to lower case; decoded texts are in lower case.
        strip_accents: remove diacritics, as BERT's uncased models do. Korean syllables stay composed.
        unicode_form: the Unicode normal form of all texts; None does not normalize.
        pretokenized: the texts are already tokenized, with spaces between tokens: split only at white space, and decode
            to the same text with its spaces.
        min_frequency: the minimum frequency of a pair of symbols to be merged (BPE and WordPiece).
        limit_alphabet: the number of characters to keep, the most frequent ones; the others become unknown or, with
            `byte_fallback`, bytes.
        byte_fallback: encode characters outside of the alphabet as bytes, for which 256 entries are reserved; only for
            `"bpe"` and `"unigram"` (`"byte_bpe"` does not need it).
        model_max_length: the maximum length of a sequence of the model, if it has one.
        columns: the text columns, if `texts` is a data set; by default all columns of strings.

    Returns:
        The tokenizer. It has no BPE dropout; see `bpe_dropout`.

    Raises:
        ValueError: an argument is illegal, there is no text, or `vocab_size` is too small for the alphabet.
        FileNotFoundError: a file in `texts` does not exist.
    """
    _check_choice("kind", kind, get_args(TokenizerKind))
    _check_choice("template", template, tuple(TEMPLATES))
    if unicode_form is not None:
        _check_choice("unicode_form", unicode_form, get_args(UnicodeForm))
    if byte_fallback and kind not in ("bpe", "unigram"):
        raise ValueError(f"byte_fallback=True needs kind='bpe' or 'unigram', but kind={kind!r}; omit it.")
    if min_frequency < 1:
        raise ValueError(f"min_frequency must be at least 1, but is {min_frequency}.")
    if limit_alphabet is not None and (kind == "byte_bpe" or limit_alphabet < 1):
        raise ValueError(
            f"limit_alphabet={limit_alphabet} must be at least 1, and None for kind='byte_bpe', whose alphabet is the "
            f"256 bytes; kind={kind!r}."
        )
    specials = TEMPLATES[template]
    reserved = specials.tokens + (_BYTE_TOKENS if byte_fallback else ())
    _check_room(vocab_size, len(reserved) + (256 if kind == "byte_bpe" else 1), "special tokens and bytes")

    batches = text_batches(texts, columns)
    components = build_components(
        kind,
        lowercase=lowercase,
        strip_accents=strip_accents,
        unicode_form=unicode_form,
        pretokenized=pretokenized,
        prefix_space=template != "decoder",
        byte_fallback=byte_fallback,
    )
    alphabet = _alphabet(batches, components, limit_alphabet)
    if not alphabet:
        raise ValueError("There is no text to train a tokenizer on: the texts are empty or contain only white space.")

    unknown = specials.roles["unk_token"]
    if kind == "byte_bpe":
        model = _train_bpe(
            batches, components, vocab_size, min_frequency, reserved, pre_tokenizers.ByteLevel.alphabet()
        )
    elif kind == "bpe":
        _check_room(vocab_size, len(reserved) + 2 * len(alphabet), f"2 x {len(alphabet)} characters and special tokens")
        model = _train_bpe(
            batches, components, vocab_size, min_frequency, reserved, alphabet, unknown=unknown, suffix=END_OF_WORD,
            byte_fallback=byte_fallback,
        )  # fmt: skip
    elif kind == "wordpiece":
        _check_room(vocab_size, len(reserved) + 2 * len(alphabet), f"2 x {len(alphabet)} characters and special tokens")
        model = _train_wordpiece(batches, components, vocab_size, min_frequency, reserved, alphabet, unknown)
    else:
        _check_room(vocab_size, len(reserved) + len(alphabet) + 1, f"{len(alphabet)} characters and special tokens")
        model = train_unigram(batches, components, vocab_size, reserved, alphabet, unknown, byte_fallback=byte_fallback)
    return _assemble(model, components, specials, vocab_size, model_max_length)


def _check_choice(name: str, value: Any, legal: tuple[str, ...]) -> None:
    if value not in legal:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, legal))}, but is {value!r}.")


def _check_room(vocab_size: int, needed: int, what: str) -> None:
    if vocab_size < needed:
        raise ValueError(
            f"vocab_size={vocab_size} is too small for the {what} ({needed} entries); raise it, or set limit_alphabet."
        )


def _alphabet(batches: TextBatches, components: TokenizerComponents, limit: int | None) -> list[str]:
    """The characters of the texts, sorted; at most the `limit` most frequent ones, ties in Unicode order."""
    counts: Counter[str] = Counter()
    for batch in batches():
        # One call for many texts, joined by line breaks, which no normalizer here removes or crosses.
        text = "\n".join(batch)
        counts.update(components.normalizer.normalize_str(text) if components.normalizer else text)
    characters = [character for character in counts if not character.isspace()]
    if limit is not None:
        characters = sorted(characters, key=lambda character: (-counts[character], character))[:limit]
    return sorted(characters)


def _train_bpe(
    batches: TextBatches,
    components: TokenizerComponents,
    vocab_size: int,
    min_frequency: int,
    reserved: tuple[str, ...],
    alphabet: list[str],
    *,
    unknown: str | None = None,
    suffix: str | None = None,
    byte_fallback: bool = False,
) -> models.BPE:
    # The trainer breaks ties by the ids of the symbols. It sorts symbols without a suffix; those with a suffix get ids
    # in the order of a hash table, which differs between processes. Reserving them fixes their ids, and makes each
    # character of the alphabet known at any position in a word.
    suffixed = tuple(character + suffix for character in alphabet) if suffix else ()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*reserved, *suffixed],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        show_progress=False,
        **({"end_of_word_suffix": suffix} if suffix else {}),
    )
    learner = Tokenizer(models.BPE(**({"end_of_word_suffix": suffix} if suffix else {})))
    trained = _train(learner, batches, components, trainer)
    return models.BPE(
        vocab=trained["vocab"],
        merges=[tuple(merge) for merge in trained["merges"]],
        unk_token=unknown,
        byte_fallback=byte_fallback,
        **({"end_of_word_suffix": suffix} if suffix else {}),
    )


def _train_wordpiece(
    batches: TextBatches,
    components: TokenizerComponents,
    vocab_size: int,
    min_frequency: int,
    reserved: tuple[str, ...],
    alphabet: list[str],
    unknown: str,
) -> models.WordPiece:
    # Symbols with the prefix are reserved for the reason given in `_train_bpe`.
    trainer = trainers.WordPieceTrainer(
        vocab_size=vocab_size,
        min_frequency=min_frequency,
        special_tokens=[*reserved, *(CONTINUATION + character for character in alphabet)],
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=CONTINUATION,
        show_progress=False,
    )
    trained = _train(Tokenizer(models.WordPiece(unk_token=unknown)), batches, components, trainer)
    return models.WordPiece(vocab=trained["vocab"], unk_token=unknown, continuing_subword_prefix=CONTINUATION)


def _train(learner: Tokenizer, batches: TextBatches, components: TokenizerComponents, trainer: Any) -> dict[str, Any]:
    """Trains a tokenizer, and returns its model as in `tokenizer.json`."""
    if components.normalizer is not None:
        learner.normalizer = components.normalizer
    learner.pre_tokenizer = components.pre_tokenizer
    learner.train_from_iterator(batches(), trainer)
    return json.loads(learner.to_str())["model"]


def _assemble(
    model: Any,
    components: TokenizerComponents,
    specials: SpecialTokenTemplate,
    vocab_size: int,
    model_max_length: int | None,
) -> PreTrainedTokenizerFast:
    backend = Tokenizer(model)
    if components.normalizer is not None:
        backend.normalizer = components.normalizer
    backend.pre_tokenizer = components.pre_tokenizer
    backend.decoder = components.decoder
    backend.post_processor = specials.post_processor()
    mask = specials.roles.get("mask_token")
    # As in BERT, the space before [MASK] belongs to it, so that "a [MASK] b" has no empty word.
    backend.add_special_tokens([AddedToken(token, special=True, lstrip=token == mask) for token in specials.tokens])
    actual = backend.get_vocab_size()
    if actual < vocab_size:
        logger.warning(
            "The texts fill only %d of the %d entries of the vocabulary; set vocab_size=%d, or give more text.",
            actual, vocab_size, actual,
        )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_input_names=list(specials.model_input_names),
        padding_side=specials.padding_side,
        clean_up_tokenization_spaces=False,
        **specials.roles,
        **({} if model_max_length is None else {"model_max_length": model_max_length}),
    )
