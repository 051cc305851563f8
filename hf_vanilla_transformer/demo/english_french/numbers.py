"""Numbers from 1 to 99 in words, and dates, in English and French."""

from __future__ import annotations

from datetime import date

from .lexicon import MONTHS, WEEKDAYS

_ENGLISH = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_ENGLISH_TENS = (
    "-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety",
)  # fmt: skip
_FRENCH = (
    "zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix", "onze", "douze",
    "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit", "dix-neuf",
)  # fmt: skip
# 70 to 79 continue the sixties (71 is "sixty and eleven"), 90 to 99 the eighties (97 is "four-twenty-seventeen").
_FRENCH_TENS = (
    "-", "-", "vingt", "trente", "quarante", "cinquante", "soixante", "soixante", "quatre-vingt", "quatre-vingt",
)  # fmt: skip


def _check(number: int) -> None:
    if not 1 <= number <= 99:
        raise ValueError(f"number={number} must be between 1 and 99.")


def english_number(number: int) -> str:
    """`number` in English words, such as "twenty-one". Raises ValueError outside of 1 to 99."""
    _check(number)
    if number < 20:
        return _ENGLISH[number]
    tens, units = divmod(number, 10)
    return _ENGLISH_TENS[tens] + (f"-{_ENGLISH[units]}" if units else "")


def french_number(number: int, feminine: bool = False) -> str:
    """`number` in French words, such as "vingt et une" before a feminine noun. Raises ValueError outside of 1 to 99."""
    _check(number)
    tens = number // 10
    rest = number - 10 * (tens - tens % 2 if tens >= 6 else tens)
    one = "une" if feminine else "un"
    if number < 20:
        return one if number == 1 else _FRENCH[number]
    if rest == 0:
        return "quatre-vingts" if number == 80 else _FRENCH_TENS[tens]
    word = one if rest == 1 else _FRENCH[rest]
    joined_by_and = rest in (1, 11) and number < 80
    return _FRENCH_TENS[tens] + (f" et {word}" if joined_by_and else f"-{word}")


def dated(day: date, weekday: bool) -> tuple[str, str]:
    """A date in both languages, such as ("on May 3, 1999", "le 3 mai 1999"), optionally with its weekday."""
    english_month, french_month = list(MONTHS.items())[day.month - 1]
    english_weekday, french_weekday = list(WEEKDAYS.items())[day.weekday()]
    french_day = "1er" if day.day == 1 else str(day.day)
    if weekday:
        return (
            f"on {english_weekday}, {english_month} {day.day}, {day.year}",
            f"le {french_weekday} {french_day} {french_month} {day.year}",
        )
    return f"on {english_month} {day.day}, {day.year}", f"le {french_day} {french_month} {day.year}"
