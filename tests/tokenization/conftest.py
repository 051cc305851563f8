import os
import random
from pathlib import Path

import pytest

WORDS = """
the a small old green house dog cat man woman bridge river table window walks runs sleeps sees opens closes near under
behind two seven children's co-operation naïve Straße Bücher grüßt überall Äpfel café garçon l'œuvre
"""
KOREAN_WORDS = """
나는 너를 오늘 학교에 갔다 고양이가 창문을 열었다 작은 강 아래에서 책을 읽는다 서울에 삽니다 친구와 함께
"""


def sentences(words: str, count: int, seed: int) -> list[str]:
    """Random sentences with final punctuation and some commas."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        chosen = draw.choices(words.split(), k=draw.randint(3, 12))
        if draw.random() < 0.3:
            chosen[1] += ","
        made.append(" ".join(chosen).capitalize() + draw.choice(".!?"))
    return made


@pytest.fixture(scope="session")
def european() -> list[str]:
    return sentences(WORDS, 400, seed=1)


@pytest.fixture(scope="session")
def korean() -> list[str]:
    return sentences(KOREAN_WORDS, 300, seed=2)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped where it is not."""
    folder = Path(os.environ.get("HF_VANILLA_DATA", Path(__file__).parents[3] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set HF_VANILLA_DATA")
    return folder
