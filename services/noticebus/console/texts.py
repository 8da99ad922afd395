"""The words of the acknowledge page, in English and in Spanish."""

from collections.abc import Mapping
from enum import StrEnum

from noticebus.console.texts_answer import ANSWER
from noticebus.console.texts_notice import NOTICE
from noticebus.console.texts_wrong import WRONG


class Language(StrEnum):
    """A language that the page speaks whole."""

    EN = "en"
    ES = "es"


TEXTS: Mapping[str, tuple[str, str]] = {**NOTICE, **ANSWER, **WRONG}


def text(language: Language, key: str, **facts: object) -> str:
    """Give one text, filled in; an unknown key is a fault of ours."""
    english, spanish = TEXTS[key]
    return (english if language is Language.EN else spanish).format(**facts)
