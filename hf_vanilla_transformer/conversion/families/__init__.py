"""The published families, one table each, in the order in which an export prefers them."""

from ..family import Family
from .bart import BART
from .bert import BERT
from .gpt1 import GPT1
from .gpt2 import GPT2
from .m2m100 import M2M100
from .marian import MARIAN
from .mbart import MBART
from .opt import OPT
from .pegasus import PEGASUS
from .roberta import ROBERTA

__all__ = ["FAMILIES"]

FAMILIES: dict[str, Family] = {
    family.model_type: family for family in (BERT, ROBERTA, GPT2, OPT, GPT1, MARIAN, PEGASUS, BART, MBART, M2M100)
}
