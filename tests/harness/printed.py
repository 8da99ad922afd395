"""The text on each page of a PDF that Chromium has printed, as somebody with the paper reads it.

It reads what Chromium writes (fonts with a ToUnicode table, streams packed by zlib), and no more.
"""

import re
import zlib
from collections.abc import Iterator, Mapping

_OBJECT = re.compile(rb"(?:^|\n)(\d+) 0 obj\n(.*?)\nendobj", re.DOTALL)
_STREAM = re.compile(rb"stream\r?\n(.*)\r?\nendstream", re.DOTALL)
_PAGE = re.compile(rb"/Type /Page\b")
_KIDS = re.compile(rb"/Kids \[([^\]]*)\]")
_REFERENCE = re.compile(rb"(\d+) 0 R")
_FONT = re.compile(rb"/(F\d+) (\d+) 0 R")
_BLOCK = re.compile(rb"BT\n(.*?)ET\n", re.DOTALL)
_STEP = re.compile(rb"/(F\d+) [\d.]+ Tf|<([0-9A-Fa-f]+)> Tj")
_RANGES = re.compile(r"beginbfrange\n(.*?)endbfrange", re.DOTALL)
_CHARS = re.compile(r"beginbfchar\n(.*?)endbfchar", re.DOTALL)
_HEX = re.compile(r"<([0-9A-Fa-f]+)>")

Glyphs = Mapping[int, str]


def pages_of(pdf: bytes) -> list[str]:
    """Give the text of each page, in the order in which it was drawn."""
    objects = {int(number): body for number, body in _OBJECT.findall(pdf)}
    assert objects, "a PDF of Chromium"
    fonts: dict[int, Glyphs] = {}
    return ["\n".join(_lines(objects, one, fonts)) for one in _pages(objects)]


def _pages(objects: Mapping[int, bytes]) -> Iterator[bytes]:
    """Give the pages in order: where there are many, they hang from a tree."""
    (root,) = [one for one in objects.values() if b"/Type /Pages" in one and b"/Parent" not in one]
    waiting = [root]
    while waiting:
        node = waiting.pop(0)
        if _PAGE.search(node):
            yield node
        elif kids := _KIDS.search(node):
            waiting[:0] = [objects[int(one)] for one in _REFERENCE.findall(kids[1])]


def _lines(objects: Mapping[int, bytes], page: bytes, fonts: dict[int, Glyphs]) -> Iterator[str]:
    contents = re.search(rb"/Contents (\d+) 0 R", page)
    assert contents is not None, "a page has something drawn on it"
    named = {name: int(number) for name, number in _FONT.findall(page)}
    font: Glyphs = {}
    for block in _BLOCK.findall(_unpacked(objects[int(contents[1])])):
        line = ""
        for name, drawn in _STEP.findall(block):
            if name:
                number = named[name]
                font = fonts[number] = fonts.get(number) or _glyphs(objects, objects[number])
            numbers = [int(drawn[at : at + 4], 16) for at in range(0, len(drawn), 4)]
            line += "".join(font.get(one, "\ufffd") for one in numbers)
        yield line


def _glyphs(objects: Mapping[int, bytes], font: bytes) -> Glyphs:
    """Read which characters a font's glyphs stand for."""
    table = re.search(rb"/ToUnicode (\d+) 0 R", font)
    if table is None:
        return {}
    text = _unpacked(objects[int(table[1])]).decode("ascii")
    found: dict[int, str] = {}
    for block in _CHARS.findall(text):
        numbers = _HEX.findall(block)
        found |= {
            int(glyph, 16): _characters(to)
            for glyph, to in zip(numbers[::2], numbers[1::2], strict=True)
        }
    for block in _RANGES.findall(text):
        numbers = _HEX.findall(block)
        for first, last, to in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True):
            for step in range(int(last, 16) - int(first, 16) + 1):
                found[int(first, 16) + step] = chr(int(to, 16) + step)
    return found


def _characters(number: str) -> str:
    return bytes.fromhex(number).decode("utf-16-be")


def _unpacked(body: bytes) -> bytes:
    stream = _STREAM.search(body)
    assert stream is not None, "an object with a stream"
    return zlib.decompress(stream[1]) if b"/FlateDecode" in body else stream[1]
