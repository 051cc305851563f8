"""The special tokens of each stack: their ids, and their positions around a text."""

from dataclasses import dataclass, field

from tokenizers.processors import TemplateProcessing


@dataclass(frozen=True)
class SpecialTokenTemplate:
    """The special tokens of one stack.

    Attributes:
        tokens: the special tokens in the order of their ids; padding has id 0.
        roles: maps attributes of the tokenizer (`eos_token`, ...) to special tokens.
        single: the template of one text, in the notation of `tokenizers.processors.TemplateProcessing`.
        pair: the template of two texts.
        model_input_names: the outputs of the tokenizer for a model of this stack.
        padding_side: the side on which batches are padded; left for a decoder, because it continues its prompt.
    """

    tokens: tuple[str, ...]
    roles: dict[str, str]
    single: str
    pair: str
    model_input_names: tuple[str, ...] = ("input_ids", "attention_mask")
    padding_side: str = field(default="right")

    def post_processor(self) -> TemplateProcessing:
        """The post-processor that adds special tokens to the ids of a text."""
        ids = {token: index for index, token in enumerate(self.tokens)}
        named = [(token, ids[token]) for token in self.tokens if token in self.single or token in self.pair]
        return TemplateProcessing(single=self.single, pair=self.pair, special_tokens=named)


TEMPLATES: dict[str, SpecialTokenTemplate] = {
    # Source and target are both "A </s>"; the decoder's input is the target shifted right behind <s>.
    "seq2seq": SpecialTokenTemplate(
        tokens=("<pad>", "</s>", "<unk>", "<s>"),
        roles={"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "bos_token": "<s>"},
        single="$A </s>",
        pair="$A </s> $B </s>",
    ),
    # Devlin et al. 2019, section 3 and figure 2: segment 0 is "[CLS] A [SEP]", segment 1 is "B [SEP]".
    "encoder": SpecialTokenTemplate(
        tokens=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
        roles={
            "pad_token": "[PAD]",
            "unk_token": "[UNK]",
            "cls_token": "[CLS]",
            "sep_token": "[SEP]",
            "mask_token": "[MASK]",
        },
        single="[CLS]:0 $A:0 [SEP]:0",
        pair="[CLS]:0 $A:0 [SEP]:0 $B:1 [SEP]:1",
        model_input_names=("input_ids", "token_type_ids", "attention_mask"),
    ),
    # Only <s> is added here, because a prompt must not end; the collator for training adds </s> to documents.
    "decoder": SpecialTokenTemplate(
        tokens=("<pad>", "<s>", "</s>", "<unk>"),
        roles={"pad_token": "<pad>", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        single="<s> $A",
        pair="<s> $A $B",
        padding_side="left",
    ),
}
