"""Finds installed fonts that can draw a text, so that Korean class names do not become empty boxes."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# Comes with matplotlib and covers European languages.
DEFAULT = "DejaVu Sans"

# Tried first, in this order, before all other installed fonts.
_PREFERRED = (
    "Noto Sans CJK KR",
    "Noto Sans KR",
    "NanumGothic",
    "Nanum Gothic",
    "Malgun Gothic",
    "Apple SD Gothic Neo",
    "AppleGothic",
    "UnDotum",
    "Noto Sans CJK JP",
    "Noto Sans CJK SC",
    "Noto Sans",
    "Arial Unicode MS",
)

INSTALL_HINT = "install one, such as the package fonts-nanum or fonts-noto-cjk"


def families_for(texts: Iterable[str]) -> list[str] | None:
    """Font families that together cover every character of `texts`, for matplotlib's ``font.family``.

    Returns:
        The default font, followed by others if it does not cover all; None if no installed font has some character.
    """
    needed = {character for text in texts for character in text if not character.isspace()}
    families = [DEFAULT]
    missing = needed - _characters(_path(DEFAULT))
    for name in _others():
        if not missing:
            break
        covered = missing & _characters(_path(name))
        if covered:
            families.append(name)
            missing -= covered
    return None if missing else families


@cache
def _others() -> tuple[str, ...]:
    known = {entry.name for entry in font_manager.fontManager.ttflist}
    preferred = [name for name in _PREFERRED if name in known]
    # Last-resort fonts have a placeholder for every character, so they must not be chosen.
    rest = sorted(name for name in known if name not in preferred and "Last Resort" not in name and name != DEFAULT)
    return (*preferred, *rest)


def _path(family: str) -> str:
    return font_manager.findfont(font_manager.FontProperties(family=family), fallback_to_default=True)


@cache
def _characters(path: str) -> frozenset[str]:
    return frozenset(map(chr, FT2Font(path).get_charmap()))
