"""Registration of the predecessors with the Auto classes of transformers."""

from __future__ import annotations

from transformers import AutoConfig, AutoModel, AutoModelForSeq2SeqLM, PreTrainedModel

from .configuration_predecessor import PredecessorConfig
from .modeling_predecessor import PredecessorForConditionalGeneration, PredecessorModel

PREDECESSOR_CLASSES: dict[type[PredecessorConfig], dict[str, type[PreTrainedModel]]] = {
    PredecessorConfig: {
        "AutoModel": PredecessorModel,
        "AutoModelForSeq2SeqLM": PredecessorForConditionalGeneration,
    }
}


def register_predecessors() -> None:
    """Register the predecessors in this process. Another call changes nothing."""
    AutoConfig.register(PredecessorConfig.model_type, PredecessorConfig, exist_ok=True)
    AutoModel.register(PredecessorConfig, PredecessorModel, exist_ok=True)
    AutoModelForSeq2SeqLM.register(PredecessorConfig, PredecessorForConditionalGeneration, exist_ok=True)
