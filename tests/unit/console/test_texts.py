import string

import pytest

from noticebus.console.texts import TEXTS, Language, text
from noticebus.contracts.parts import ChildrenStatus
from noticebus.contracts.vocabulary import Answer, DeclineReason


def blanks(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


@pytest.mark.parametrize("key", TEXTS)
def test_both_languages_say_it_with_the_same_blanks(key: str) -> None:
    english, spanish = TEXTS[key]

    assert english.strip()
    assert spanish.strip()
    assert blanks(english) == blanks(spanish)


def test_every_word_of_an_answer_has_its_text() -> None:
    wanted = {f"answer_{one}" for one in Answer} | {f"state_{one}" for one in Answer}
    wanted |= {f"reason_{one}" for one in DeclineReason}
    wanted |= {
        f"children_{one}"
        for one in ChildrenStatus
        if one not in {ChildrenStatus.ESTIMATE, ChildrenStatus.COUNT}
    }

    assert wanted <= set(TEXTS)


def test_text_fills_its_blanks_in_the_language_asked_for() -> None:
    assert text(Language.EN, "title", agency="A {b}") == "Notice for A {b}"
    assert text(Language.ES, "title", agency="A") == "Aviso para A"
