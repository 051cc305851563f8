"""Pipelines for tasks that transformers 5 does not support, among them four that it removed, under their former names.

`import hf_vanilla_transformer` is enough for `transformers.pipeline("translation", model=...)`; see `task_registry`.
"""

from ..lazy_names import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "DependencyParsingPipeline": "dependency_parsing",
        "QuestionAnsweringPipeline": "question_answering",
        "SpeechRecognitionPipeline": "speech_recognition",
        "SummarizationPipeline": "text_to_text",
        "Text2TextGenerationPipeline": "text_to_text",
        "TranslationPipeline": "text_to_text",
        "Sentence": "sentence_splitting",
        "join_sentences": "sentence_splitting",
        "split_sentences": "sentence_splitting",
    },
)
