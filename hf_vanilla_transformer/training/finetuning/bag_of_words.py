"""A bag of words: TF-IDF of words and pairs of words (or of characters) with a linear model, from scikit-learn.

It is the model that people try before they fine-tune a Transformer (Wang and Manning 2012). It trains in seconds on one
core. It is saved as safetensors and JSON, never as a pickle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file, save_file

from ...files import folder_aside, write_text
from ...untrusted_files import read_json_object

Kind = Literal["single", "multi", "regression"]
Texts = Sequence[str]

CONFIG_FILE = "bag_of_words.json"
WEIGHTS_FILE = "bag_of_words.safetensors"

# Strengths of the data against the regulariser: C of the logistic regression, 1 / alpha of the ridge regression.
STRENGTHS = (0.1, 1.0, 10.0, 100.0)
# Used where there are no validation rows to choose by.
DEFAULT_STRENGTH = 10.0

# A word, with its apostrophes, or a sign: `!` and `?` are evidence too.
_WORD = r"\w+(?:['’]\w+)*|[^\w\s]"
# Scripts without reliable spaces between words: Hangul (whose words carry their particles), Han, kana, Thai, Lao,
# Tibetan, Myanmar, Khmer.
_UNSPACED = re.compile(
    "[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u0f00-\u0fff"
    "\u1000-\u109f\u1780-\u17ff\U00020000-\U0003ffff]"
)
# Above this number of training rows, a term of a single row is left out.
_MANY_ROWS = 1000


def require_scikit_learn(what: str) -> None:
    """Raises ImportError with the remedy if scikit-learn is not installed.

    Args:
        what: needs it, for the message.
    """
    if find_spec("sklearn") is None:
        raise ImportError(f"{what} needs scikit-learn: pip install 'hf_vanilla_transformer[bag_of_words]'.")


def has_spaces(texts: Texts) -> bool:
    """Whether most letters of the texts belong to scripts that put spaces between words."""
    sample = "".join(texts[:1000])
    letters = sum(map(str.isalpha, sample))
    return len(_UNSPACED.findall(sample)) <= 0.3 * max(letters, 1)


@dataclass
class BagOfWords:
    """A trained bag of words.

    Attributes:
        kind: one class a text (``single``), any number of classes (``multi``), or a number (``regression``).
        classes: number of outputs.
        words: whether terms are words and pairs of words; else characters, two to four in a row.
        strength: of the data against the regulariser, see `STRENGTHS`.
        pairs: whether it reads pairs of texts.
        terms: the vocabulary.
        idf: (terms,) inverse document frequencies.
        weights: (features, classes) of the linear model; a pair has three blocks of features: terms of the first text,
            of the second, and their products, which are not zero for terms of both.
        bias: (classes,). A class without training rows has the bias -inf.
    """

    kind: Kind
    classes: int
    words: bool
    strength: float
    pairs: bool
    terms: list[str]
    idf: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    _vectorizer: Any = field(default=None, repr=False, compare=False)

    @classmethod
    def fit(
        cls,
        kind: Kind,
        classes: int,
        texts: Texts,
        labels: Sequence[Any],
        second_texts: Texts | None = None,
        *,
        better: Callable[[BagOfWords], float] | None = None,
    ) -> BagOfWords:
        """Trains one model for each of `STRENGTHS` and returns the best.

        Args:
            kind: of the labels.
            classes: number of classes; 1 for a number.
            texts: of the training rows.
            labels: class numbers, lists of 0 and 1 (one value per class), or numbers.
            second_texts: the second text of each row, for pairs.
            better: score of a model on validation rows, higher is better; of equal scores, the stronger regulariser
                wins. None uses `DEFAULT_STRENGTH`.

        Raises:
            ImportError: scikit-learn is not installed.
            ValueError: there are no rows, or their numbers differ.
        """
        require_scikit_learn("A bag of words")
        if (
            not len(texts)
            or len(texts) != len(labels)
            or (second_texts is not None and len(second_texts) != len(texts))
        ):
            raise ValueError(f"texts has {len(texts)} rows and labels {len(labels)}; give a label for each text.")
        every = list(texts) + list(second_texts or ())
        words = has_spaces(every)
        vectorizer = _vectorizer_of(words, min_df=2 if len(texts) > _MANY_ROWS else 1)
        try:
            vectorizer.fit(every)
        except ValueError:  # no term is in two rows, or no text has a word
            vectorizer = _vectorizer_of(words, min_df=1).fit([*every, "."])
        terms = [str(term) for term in vectorizer.get_feature_names_out()]
        idf = vectorizer.idf_.astype(np.float32)
        empty = np.zeros((0, classes), np.float32)
        made = cls(kind, classes, words, DEFAULT_STRENGTH, second_texts is not None, terms, idf, empty, empty.sum(0))
        features = made.features(texts, second_texts)
        best, best_score = made, -np.inf
        for strength in STRENGTHS if better is not None else (DEFAULT_STRENGTH,):
            weights, bias = _linear_model(kind, classes, features, np.asarray(labels), strength)
            model = cls(
                kind, classes, words, strength, made.pairs, terms, idf, weights.astype(np.float32),
                bias.astype(np.float32), made._vectorizer,
            )  # fmt: skip
            score = better(model) if better is not None else 0.0
            if score > best_score or best is made:
                best, best_score = model, score
        return best

    def features(self, texts: Texts, second_texts: Texts | None = None) -> Any:
        """The sparse features (rows, features) of texts, or of pairs of texts."""
        if self._vectorizer is None:
            self._vectorizer = _vectorizer_of(self.words, vocabulary=self.terms)
            self._vectorizer.idf_ = self.idf.astype(np.float64)
        if self.pairs != (second_texts is not None):
            raise ValueError(f"second_texts must {'' if self.pairs else 'not '}be given: pairs={self.pairs}.")
        first = self._vectorizer.transform(texts)
        if second_texts is None:
            return first
        from scipy.sparse import hstack

        second = self._vectorizer.transform(second_texts)
        return hstack([first, second, first.multiply(second)], format="csr")

    def predict(self, texts: Texts, second_texts: Texts | None = None) -> np.ndarray:
        """(rows, classes) probabilities of classes, or numbers (rows, 1)."""
        scores = self.features(texts, second_texts) @ self.weights.astype(np.float64) + self.bias.astype(np.float64)
        if self.kind == "regression":
            return scores
        if self.kind == "multi":
            return 1 / (1 + np.exp(-np.clip(scores, -700, 700)))
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        return scores / scores.sum(-1, keepdims=True)

    @property
    def megabytes(self) -> float:
        """Size of its numbers and terms."""
        return (self.weights.nbytes + self.idf.nbytes + sum(len(term.encode()) for term in self.terms)) / 1e6

    def save(self, folder: str | Path) -> None:
        """Writes the model to a new folder, or replaces an earlier one."""
        with folder_aside(folder) as written:
            save_file({"idf": self.idf, "weights": self.weights, "bias": self.bias}, written / WEIGHTS_FILE)
            config = {
                "kind": self.kind, "classes": self.classes, "words": self.words, "strength": self.strength,
                "pairs": self.pairs, "terms": self.terms,
            }  # fmt: skip
            write_text(written / CONFIG_FILE, json.dumps(config, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> BagOfWords:
        """Reads a saved model.

        Raises:
            FileNotFoundError: there is none in the folder.
            ValueError: its files are damaged, or do not belong together.
            ImportError: scikit-learn is not installed.
        """
        require_scikit_learn("A bag of words")
        folder = Path(folder)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"There is no bag of words in {folder}: it has no {name}.")
        try:
            model = cls(**read_json_object(folder / CONFIG_FILE), **load_file(folder / WEIGHTS_FILE))
        except Exception as error:  # safetensors has its own class of errors
            raise ValueError(f"The bag of words in {folder} is damaged ({error}); train it again.") from error
        features = len(model.terms) * (3 if model.pairs else 1)
        if model.weights.shape != (features, model.classes) or model.idf.shape != (len(model.terms),):
            raise ValueError(f"{CONFIG_FILE} and {WEIGHTS_FILE} in {folder} do not belong together; train it again.")
        return model


def _vectorizer_of(words: bool, **settings: Any) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer

    if words:
        return TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=_WORD, **settings)
    return TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 4), analyzer="char_wb", **settings)


def _linear_model(
    kind: Kind, classes: int, features: Any, labels: np.ndarray, strength: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (features, classes) and bias (classes,) in float64."""
    from sklearn.linear_model import LogisticRegression, Ridge

    if kind == "regression":
        model = Ridge(alpha=1 / strength).fit(features, labels)
        return model.coef_.reshape(-1, 1), np.atleast_1d(model.intercept_)
    weights, bias = np.zeros((features.shape[1], classes)), np.full(classes, -np.inf)

    def fit(targets: np.ndarray) -> Any:
        return LogisticRegression(C=strength, max_iter=1000).fit(features, targets)

    if kind == "multi":
        for number, present in enumerate(labels.T.astype(bool)):
            if present.all() or not present.any():
                bias[number] = np.inf if present.all() else -np.inf  # every row, or none
                continue
            model = fit(present)
            weights[:, number], bias[number] = model.coef_[0], model.intercept_[0]
        return weights, bias
    seen = np.unique(labels)
    if len(seen) == 1:
        bias[seen] = 0.0
        return weights, bias
    model = fit(labels)
    if len(seen) == 2:  # softmax of (0, z) is the logistic function of z
        weights[:, seen[1]], bias[seen[0]], bias[seen[1]] = model.coef_[0], 0.0, model.intercept_[0]
    else:
        weights[:, seen], bias[seen] = model.coef_.T, model.intercept_
    return weights, bias
