"""The tables of the published families, in the order of preference of exports."""

from ..family import Family
from .bart import BART
from .bert import BERT
from .biogpt import BIOGPT
from .distilbert import DISTILBERT
from .electra import ELECTRA
from .fsmt import FSMT
from .gpt1 import GPT1
from .gpt2 import GPT2
from .m2m100 import M2M100
from .marian import MARIAN
from .mbart import MBART
from .opt import OPT
from .pegasus import PEGASUS
from .roberta import CAMEMBERT, ROBERTA, XLM_ROBERTA
from .speech_to_text import SPEECH_TO_TEXT
from .xglm import XGLM

__all__ = ["FAMILIES"]

_ENCODERS = (BERT, ROBERTA, XLM_ROBERTA, CAMEMBERT, DISTILBERT, ELECTRA)
_DECODERS = (GPT2, OPT, GPT1, BIOGPT, XGLM)
_ENCODER_DECODERS = (MARIAN, PEGASUS, BART, MBART, M2M100, FSMT)
_SPEECH = (SPEECH_TO_TEXT,)

FAMILIES: dict[str, Family] = {
    family.model_type: family for family in (*_ENCODERS, *_DECODERS, *_ENCODER_DECODERS, *_SPEECH)
}
