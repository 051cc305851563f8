"""From files to batches: readers, collators, and the sampler that fills batches by their number of tokens."""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "BadRow": "readers.bad_rows",
        "CausalLanguageModelingCollator": "collators.causal_lm",
        "CsvFormat": "readers.csv_files",
        "DenoisingCollator": "collators.denoising",
        "DependencyParsingCollator": "collators.dependency_parsing",
        "EncodedTexts": "long_texts",
        "EncodedWords": "word_pieces",
        "Labels": "readers.labels",
        "MaskedLanguageModelingCollator": "collators.masked_lm",
        "RowReport": "readers.row_report",
        "SpanCorruptionCollator": "collators.span_corruption",
        "TokenBatchSampler": "sampler",
        "TokenBlocks": "token_blocks",
        "TranslationCollator": "collators.translation",
        "encode_texts": "long_texts",
        "encode_words": "word_pieces",
        "fit_labels": "readers.labels",
        "load_choices": "readers.choices",
        "load_labelled": "readers.labelled",
        "load_pairs": "readers.pairs",
        "load_questions": "readers.questions",
        "load_tagged": "readers.tagged",
        "load_texts": "readers.texts",
        "load_trees": "readers.trees",
        "split_off_validation": "readers.validation_split",
        "vote": "long_texts",
    },
)
