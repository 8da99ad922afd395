"""A form as it is shown again: what was typed stays, and each fault stands beside its field."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from noticebus.console.forms import Form
from noticebus.console.reading import read_whole
from noticebus.contracts.faults import details
from noticebus.errors import ConflictError, InvalidError

FORBIDDEN, CONFLICT, INVALID = 403, 409, 422
_UNREADABLE = "The form cannot be read. Load the page again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Filled:
    """What was typed, and what is wrong with which field; what is of none is under `form`."""

    typed: Mapping[str, str]
    faults: Mapping[str, str]


def without_faults(fields: Sequence[str]) -> Filled:
    """Give the form as it is before anything is typed."""
    return Filled(typed=dict.fromkeys(fields, ""), faults={})


def read_version(form: Form) -> int:
    """Read the version that was on the page; what cannot be read is no version at all."""
    return read_whole(form.text("base_version")) or 0


def faults_of(
    error: ValidationError | InvalidError | ConflictError,
    *,
    said: Mapping[str, str],
    conflicts: Mapping[str, str],
) -> dict[str, str]:
    """Say what is wrong: `said` by field, `conflicts` by code."""
    if isinstance(error, ConflictError):
        return {"form": conflicts.get(error.code, error.message)}
    if isinstance(error, InvalidError):
        return {
            _field(one.pointer, said): conflicts.get(error.code, one.message)
            for one in error.details
        } or {"form": error.message}
    found = [_field(one.pointer, said) for one in details(error)]
    return {field: said.get(field, _UNREADABLE) for field in found}


def _field(pointer: str, known: Mapping[str, str]) -> str:
    """Name the field a pointer leads to; what no field of the form is concerns the whole of it."""
    return next((one for one in reversed(pointer.split("/")) if one in known), "form")
