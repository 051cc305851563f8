"""The normalizer, pre-tokenizer and decoder of each kind of tokenizer.

They are reversible as far as the algorithm permits. `decode(encode(text))` is

| kind | raw text | `pretokenized=True` |
| --- | --- | --- |
| `byte_bpe` | the text | the text |
| `bpe` | the text with single spaces | the text with single spaces |
| `unigram` | the text, without one space at its start | the text, without one space at its start |
| `wordpiece` | spaces around punctuation as BERT decodes them | the text with single spaces |

after normalization (Unicode form, lower case).
"""

from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Regex, decoders, normalizers, pre_tokenizers

TokenizerKind = Literal["bpe", "byte_bpe", "wordpiece", "unigram"]
UnicodeForm = Literal["nfc", "nfkc", "nfd", "nfkd"]

END_OF_WORD = "</w>"
CONTINUATION = "##"
# The symbol for a space at the beginning of a token, in byte-level BPE and in Metaspace (Unigram).
SPACE_SYMBOLS = ("Ġ", "▁")

_UNICODE_FORMS = {
    "nfc": normalizers.NFC,
    "nfkc": normalizers.NFKC,
    "nfd": normalizers.NFD,
    "nfkd": normalizers.NFKD,
}
# A punctuation mark is a separate word, together with the symbol for the space before it.
_METASPACE_PUNCTUATION = r"▁?\p{P}"


@dataclass(frozen=True)
class TokenizerComponents:
    """The three components around a subword model; `normalizer` is None if text is not normalized."""

    normalizer: Any
    pre_tokenizer: Any
    decoder: Any


def build_components(
    kind: TokenizerKind,
    *,
    lowercase: bool,
    strip_accents: bool,
    unicode_form: UnicodeForm | None,
    pretokenized: bool,
    prefix_space: bool,
    byte_fallback: bool,
) -> TokenizerComponents:
    """The components of one kind of tokenizer; see `train_tokenizer` for the arguments."""
    steps: list[Any] = [_UNICODE_FORMS[unicode_form]()] if unicode_form else []
    if lowercase:
        steps.append(normalizers.Lowercase())
    if strip_accents:
        # NFC afterwards, because NFD also decomposes Korean syllables into letters.
        steps += [normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()]
    if kind == "wordpiece" and not pretokenized:
        steps.append(normalizers.BertNormalizer(strip_accents=False, lowercase=False))
    if kind == "byte_bpe" and prefix_space:
        # Prepended even if the text begins with a space, so that the decoder can always remove one space.
        steps.append(normalizers.Prepend(" "))

    normalizer = None
    if steps:
        normalizer = steps[0] if len(steps) == 1 else normalizers.Sequence(steps)
    return TokenizerComponents(
        normalizer=normalizer,
        pre_tokenizer=_pre_tokenizer(kind, pretokenized),
        decoder=_decoder(kind, pretokenized, prefix_space, byte_fallback),
    )


def _pre_tokenizer(kind: TokenizerKind, pretokenized: bool) -> Any:
    if kind == "byte_bpe":
        if not pretokenized:
            return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        words = pre_tokenizers.Split(Regex(r"\s"), behavior="merged_with_next")
        return pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    if kind == "unigram":
        words = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
        if pretokenized:
            return words
        punctuation = pre_tokenizers.Split(Regex(_METASPACE_PUNCTUATION), behavior="isolated")
        return pre_tokenizers.Sequence([words, punctuation])
    if kind == "wordpiece" and not pretokenized:
        return pre_tokenizers.BertPreTokenizer()
    # The end-of-word suffix stands for a space, so words must end only at spaces for decoding to restore the text.
    return pre_tokenizers.WhitespaceSplit()


def _decoder(kind: TokenizerKind, pretokenized: bool, prefix_space: bool, byte_fallback: bool) -> Any:
    if kind == "byte_bpe":
        if not prefix_space:
            return decoders.ByteLevel()
        return decoders.Sequence([decoders.ByteLevel(), decoders.Strip(" ", 1, 0)])
    if kind == "wordpiece":
        return decoders.WordPiece(prefix=CONTINUATION, cleanup=not pretokenized)
    if kind == "unigram":
        words = decoders.Metaspace(prepend_scheme="always", split=True)
        return decoders.Sequence([decoders.ByteFallback(), words]) if byte_fallback else words
    if not byte_fallback:
        return decoders.BPEDecoder(suffix=END_OF_WORD)
    # With byte fallback the last token may contain several end-of-word suffixes in bytes. BPEDecoder would remove them
    # all, but only the last one does not stand for a space.
    suffixes = decoders.Replace(END_OF_WORD, " ")
    return decoders.Sequence([decoders.ByteFallback(), suffixes, decoders.Fuse(), decoders.Strip(" ", 0, 1)])
