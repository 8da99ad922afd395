"""From pydantic's errors to ours: an RFC 6901 pointer, and a sentence that says what to do."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from noticebus.contracts.base import Accepted
from noticebus.errors import Detail

DETAILS_MAX = 50
NAME_MAX = 100
NAMES_MAX = 12


def details(error: ValidationError, *, prefix: str = "") -> tuple[Detail, ...]:
    """Turn a model's errors into at most 50 details, their pointers below `prefix`."""
    found = error.errors(include_url=False, include_input=False)
    return details_of(found, model=_model_named(error.title), prefix=prefix)


def details_of(
    errors: Iterable[Mapping[str, Any]], *, model: type[BaseModel] | None = None, prefix: str = ""
) -> tuple[Detail, ...]:
    """Turn errors as pydantic lists them into at most 50 details.

    `model` is where the locations start; with it, an unknown field is told its nearest neighbour.
    """
    found: list[Detail] = []
    listed = list(errors)
    for error in listed:
        if error["type"] == "too_short" and _has_inner(error, listed):
            continue  # pydantic does not count items that have faults of their own
        where = prefix + pointer(error["loc"])
        inner = error.get("ctx", {}).get("faults")
        if inner is None:
            found.append(Detail(pointer=where, message=_sentence(error, model)))
        else:
            found += [Detail(pointer=where + one.pointer, message=one.message) for one in inner]
    return tuple(found[:DETAILS_MAX])


def _has_inner(outer: Mapping[str, Any], errors: Iterable[Mapping[str, Any]]) -> bool:
    where = outer["loc"]
    return any(one["loc"][: len(where)] == where for one in errors if one is not outer)


def pointer(location: Iterable[int | str]) -> str:
    """Write a location as a JSON pointer (RFC 6901); pydantic's `[key]` marker is left out."""
    return "".join(f"/{_escaped(str(part))}" for part in location if part != "[key]")


def _escaped(part: str) -> str:
    printable = part[:NAME_MAX].encode("utf-8", "replace").decode("utf-8").replace("\x00", "?")
    return printable.replace("~", "~0").replace("/", "~1")


def _sentence(error: Mapping[str, Any], model: type[BaseModel] | None) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return _unknown_field(error["loc"], model)
    template = _SENTENCES.get(kind)
    if template is None:
        message: str = error["msg"]
        return message
    return template.format(**error.get("ctx", {}))


_SENTENCES = {
    "missing": "add this field: it is required",
    "enum": "use one of: {expected}",
    "literal_error": "use one of: {expected}",
    "string_type": "write text, in quotation marks",
    "string_unicode": "write valid Unicode text: no lone surrogates",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "shorten this to at most {max_length} characters",
    "string_pattern_mismatch": "write text that matches {pattern}",
    "int_type": "write a whole number, without quotation marks",
    "int_from_float": "write a whole number",
    "float_type": "write a number, without quotation marks",
    "finite_number": "write a finite number",
    "bool_type": "write true or false, without quotation marks",
    "greater_than": "give a number above {gt}",
    "greater_than_equal": "give a number of at least {ge}",
    "less_than": "give a number below {lt}",
    "less_than_equal": "give a number of at most {le}",
    "too_short": "list at least {min_length}",
    "too_long": "list at most {max_length}",
    "tuple_type": "write a list, in square brackets",
    "list_type": "write a list, in square brackets",
    "dict_type": "write an object, in curly brackets",
    "model_type": "write an object, in curly brackets",
    "model_attributes_type": "write an object, in curly brackets",
    "json_invalid": "send valid JSON: {error}",
}


def _unknown_field(location: tuple[int | str, ...], model: type[BaseModel] | None) -> str:
    home = _model_at(model, location[:-1])
    names = [] if home is None else [_wire_name(home, name) for name in home.model_fields]
    near = difflib.get_close_matches(str(location[-1])[:NAME_MAX], names, n=1, cutoff=0.5)
    if near:
        return f"remove this unknown field, or did you mean {near[0]}?"
    if 0 < len(names) <= NAMES_MAX:
        return f"remove this unknown field; known here: {', '.join(names)}"
    return "remove this unknown field"


def _model_at(
    model: type[BaseModel] | None, location: tuple[int | str, ...]
) -> type[BaseModel] | None:
    for part in location:
        if model is None or isinstance(part, int):
            continue  # an item of a list is the model its field already led to
        fields = {_wire_name(model, name): field for name, field in model.model_fields.items()}
        model = _model_inside(fields[part].annotation) if part in fields else None
    return model


def _model_inside(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    inner = (_model_inside(one) for one in get_args(annotation))
    return next((one for one in inner if one is not None), None)


def _wire_name(model: type[BaseModel], name: str) -> str:
    return model.model_fields[name].alias or name


def _model_named(title: str) -> type[BaseModel] | None:
    waiting: list[type[BaseModel]] = [Accepted]
    while waiting:
        model = waiting.pop()
        if model.__name__ == title:
            return model
        waiting += model.__subclasses__()
    return None
