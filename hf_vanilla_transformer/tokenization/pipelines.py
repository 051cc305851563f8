"""How text becomes words before subwords are looked up, and how subwords become text again, for each algorithm.

Every pipeline is reversible as far as the algorithm permits; what `decode(encode(text))` gives back is

| kind | raw text | `pretokenized=True` |
| --- | --- | --- |
| `byte_bpe` | the text | the text |
| `bpe` | the text with single spaces | the text with single spaces |
| `unigram` | the text, but for one space at its start | the same |
| `wordpiece` | spaces around punctuation as BERT decodes them | the text with single spaces |

each after the normalisation that was asked for (Unicode form, lower case).
"""

from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Regex, decoders, normalizers, pre_tokenizers

TokenizerKind = Literal["bpe", "byte_bpe", "wordpiece", "unigram"]
UnicodeForm = Literal["nfc", "nfkc", "nfd", "nfkd"]

END_OF_WORD = "</w>"
CONTINUATION = "##"
# How a piece says that a space stands before it: byte-level BPE, and Metaspace (Unigram).
WORD_START_MARKS = ("Ġ", "▁")

_UNICODE_FORMS = {
    "nfc": normalizers.NFC,
    "nfkc": normalizers.NFKC,
    "nfd": normalizers.NFD,
    "nfkd": normalizers.NFKD,
}
# A punctuation mark is a word of its own, together with the mark of the space before it.
_METASPACE_PUNCTUATION = r"▁?\p{P}"


@dataclass(frozen=True)
class Pipeline:
    """The three steps around a subword model; `normalizer` is None when text is taken as it is."""

    normalizer: Any
    pre_tokenizer: Any
    decoder: Any


def build_pipeline(
    kind: TokenizerKind,
    *,
    lowercase: bool,
    strip_accents: bool,
    unicode_form: UnicodeForm | None,
    pretokenized: bool,
    prefix_space: bool,
    byte_fallback: bool,
) -> Pipeline:
    """Make the pipeline of one kind of tokenizer; the arguments are those of `train_tokenizer`."""
    steps: list[Any] = [_UNICODE_FORMS[unicode_form]()] if unicode_form else []
    if lowercase:
        steps.append(normalizers.Lowercase())
    if strip_accents:
        # Composed again afterwards: a Korean syllable decomposes into letters too, and must not stay in pieces.
        steps += [normalizers.NFD(), normalizers.StripAccents(), normalizers.NFC()]
    if kind == "wordpiece" and not pretokenized:
        steps.append(normalizers.BertNormalizer(strip_accents=False, lowercase=False))
    if kind == "byte_bpe" and prefix_space:
        # Prepended without looking whether one is there: taking one away on decoding is then always right.
        steps.append(normalizers.Prepend(" "))

    normalizer = None
    if steps:
        normalizer = steps[0] if len(steps) == 1 else normalizers.Sequence(steps)
    return Pipeline(
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
    # An end-of-word mark stands for a space, so words may end nowhere else if decoding is to restore the text.
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
    # An end-of-word mark may be spelled in bytes, and several within one run of bytes; BPEDecoder would drop all marks
    # of the last token, of which only the very last one stands for no space.
    marks = decoders.Replace(END_OF_WORD, " ")
    return decoders.Sequence([decoders.ByteFallback(), marks, decoders.Fuse(), decoders.Strip(" ", 0, 1)])
