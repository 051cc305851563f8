"""The picture of the perplexities of an adaptation."""

import pytest
from matplotlib.image import imread

from hf_vanilla_transformer.reports.perplexity_curves import plot_perplexities


def measured(when, step, **perplexities):
    return {"when": when, "step": step} | {
        name: {"perplexity": value, "word_perplexity": value**2} for name, value in perplexities.items()
    }


HISTORY = [
    measured("base_model", 0, domain=50.0, general=20.0),
    measured("training", 10, domain=40.0, general=21.0),
    measured("training", 20, domain=30.0),
    measured("after", 10, domain=40.0, general=21.0),
]


@pytest.mark.parametrize("unit", ["perplexity", "word_perplexity"])
@pytest.mark.parametrize("texts", [("domain", "general"), ("domain",)])
def test_each_text_is_a_line(tmp_path, unit, texts):
    history = [{name: value for name, value in point.items() if name in ("when", "step", *texts)} for point in HISTORY]
    plot_perplexities(history, unit, tmp_path / "perplexity.png")
    picture = imread(tmp_path / "perplexity.png")[..., :3]
    blue, orange = (31 / 255, 119 / 255, 180 / 255), (1.0, 127 / 255, 14 / 255)
    assert (abs(picture - blue).max(axis=-1) < 0.02).any()
    assert (abs(picture - orange).max(axis=-1) < 0.02).any() == ("general" in texts)
    assert [file.name for file in tmp_path.iterdir()] == ["perplexity.png"]
