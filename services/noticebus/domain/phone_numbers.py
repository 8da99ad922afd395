"""How a telephone number is written for people. Pure."""

import re

NORTH_AMERICAN = re.compile(r"\+1[0-9]{10}", re.ASCII)


def telephone(number: str) -> str:
    """Write a number of this country as people read it out; any other as it is stored."""
    if NORTH_AMERICAN.fullmatch(number) is None:
        return number
    return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
