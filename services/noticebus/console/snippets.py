"""How to verify our signature, in six languages, with a subscription's own id and address.

The code is that of the receivers in `docs/receivers`, which the tests run; never with a secret.
"""

from dataclasses import dataclass
from importlib.resources import files

_FOLDER = files("noticebus.console") / "snippets"
_LANGUAGES = (
    ("Python 3.9 or newer", "python"),
    ("Node 20 or newer", "node"),
    ("Java 17 or newer", "java"),
    ("Go 1.21 or newer", "go"),
    ("C#, .NET 8 or newer", "csharp"),
    ("PowerShell 7.2 or newer", "powershell"),
)
_TEXTS = {name: (_FOLDER / f"{name}.txt").read_text(encoding="utf-8") for _, name in _LANGUAGES}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    """One language's code."""

    language: str
    name: str
    code: str


def snippets_for(*, subscription_id: str, url: str) -> tuple[Snippet, ...]:
    """Fill a subscription's id and address into the code of every language."""
    return tuple(
        Snippet(
            language=language,
            name=name,
            code=_TEXTS[name].replace("@SUBSCRIPTION@", subscription_id).replace("@URL@", url),
        )
        for language, name in _LANGUAGES
    )
