"""The identifiers of licenses that the Hub knows.

Source: https://huggingface.co/docs/hub/repositories-licenses. The Hub refuses a card with any other identifier.
"""

from __future__ import annotations

from ..wording import did_you_mean

__all__ = ["LICENSES", "check_license"]

LICENSES = frozenset({
    "afl-3.0", "agpl-3.0", "apache-2.0", "apple-amlr", "apple-ascl", "artistic-2.0", "bigcode-openrail-m",
    "bigscience-bloom-rail-1.0", "bigscience-openrail-m", "bsd", "bsd-2-clause", "bsd-3-clause",
    "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0", "cc-by-2.5", "cc-by-3.0", "cc-by-4.0",
    "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0",
    "cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0", "creativeml-openrail-m",
    "deepfloyd-if-license", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1", "eupl-1.2",
    "fair-noncommercial-research-license", "gemma", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "grok2-community",
    "h-research", "intel-research", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0", "lgpl-lr", "llama2", "llama3",
    "llama3.1", "llama3.2", "llama3.3", "llama4", "lppl-1.3c", "mit", "mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by",
    "ofl-1.1", "openmdw-1.0", "openrail", "openrail++", "osl-3.0", "other", "pddl", "postgresql", "unknown",
    "unlicense", "wtfpl", "zlib",
})  # fmt: skip


def check_license(name: str) -> str:
    """The identifier of a license, in lower case as the Hub writes it.

    Args:
        name: as the user has written it.

    Raises:
        ValueError: the Hub does not know it; the message names the nearest, and what to do with another license.
    """
    identifier = name.strip().lower()
    if identifier not in LICENSES:
        longer = sorted((known for known in LICENSES if identifier and known.startswith(identifier)), key=len)
        hint = f"It may be {', '.join(longer[:5])}. " if longer else did_you_mean(identifier, sorted(LICENSES))
        raise ValueError(
            f"license={name!r} is not one of the Hub's identifiers. {hint}"
            "The Hub knows apache-2.0, mit, bsd-3-clause, gpl-3.0, cc-by-4.0, cc-by-nc-4.0, cc0-1.0 and others "
            "(https://huggingface.co/docs/hub/repositories-licenses). For another license give `other`, with "
            "license_name=NAME and license_link=URL."
        )
    return identifier
