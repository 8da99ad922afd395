"""What every wire model stands on: two base classes and the bounded types of their fields.

What we accept is strict: unknown fields, control characters, naive times and unbounded values are
refused before anything is stored. What we publish may grow, so it is read tolerantly.
"""

import datetime as dt
import functools
import re
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from noticebus.errors import Detail
from noticebus.ids import (
    AcknowledgementId,
    AgencyId,
    ApiKeyId,
    ContactId,
    DelegationId,
    DeliveryId,
    ExerciseId,
    IncidentId,
    NoticeId,
    ObligationId,
    OfferId,
    QuestionId,
    ReplayId,
    ResponsibilityId,
    ShiftId,
    SubscriptionId,
)

INT32_MAX = 2**31 - 1
YEAR_FIRST, YEAR_LAST = 2000, 2099  # inside what every database and calendar computes with
UNSET: Any = None
"""The default of a field that may be left out and may not be null (see `Accepted.changes`)."""


def _without_unset(schema: dict[str, Any]) -> None:
    """Drop the default null of a field that may not be null: it stands for "left out"."""
    for field in schema.get("properties", {}).values():
        if "default" in field and field["default"] is None and "anyOf" not in field:
            del field["default"]


class Accepted(BaseModel):
    """A body we accept: unknown fields are refused, and nothing changes after validation."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", serialize_by_alias=True, json_schema_extra=_without_unset
    )

    def changes(self) -> dict[str, Any]:
        """Give what the body says, by Python name; what it leaves out is absent."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Published(BaseModel):
    """A body we send. Built by Python name, read back by either; additions are ignored."""

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True,
        extra="ignore",
        serialize_by_alias=True,
        validate_by_alias=True,
        validate_by_name=True,
    )


def at(pointer: str, message: str) -> Detail:
    """Name one fault: an RFC 6901 pointer relative to the model, and what to do about it."""
    return Detail(pointer=pointer, message=message)


def refuse(faults: Sequence[Detail]) -> None:
    """Raise the faults, if there are any, so that `faults.details` gives each its own pointer."""
    if faults:
        raise PydanticCustomError("faults", "{summary}", _context(faults))


def _context(faults: Sequence[Detail]) -> dict[str, Any]:
    return {"summary": faults[0].message, "faults": tuple(faults)}


# --- instants -------------------------------------------------------------------------------------

_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}"
    r"(\.[0-9]{1,12})?([Zz]|[+-][0-9]{2}:[0-9]{2})?"
)


def read_instant(value: object) -> dt.datetime:
    """Read RFC 3339 text with a zone, or an aware datetime, as UTC with microseconds."""
    if isinstance(value, str):
        value = _parsed(value)
    if not isinstance(value, dt.datetime):
        raise _wrong("instant", "write a time as text, like 2019-08-07T15:04:05Z")
    if value.tzinfo is None:
        raise _wrong("instant", "add the zone: end with Z for UTC, or with an offset like -05:00")
    try:
        utc = value if value.tzinfo is dt.UTC else value.astimezone(dt.UTC)
    except OverflowError:
        utc = dt.datetime.min.replace(tzinfo=dt.UTC)
    if not YEAR_FIRST <= utc.year <= YEAR_LAST:
        raise _wrong("instant", f"give a year from {YEAR_FIRST} to {YEAR_LAST}")
    return utc


def write_instant(value: dt.datetime) -> str:
    """Write an aware instant in UTC with `Z`; fractions of a second only where there are any."""
    utc = value if value.tzinfo is dt.UTC else value.astimezone(dt.UTC)
    return utc.isoformat().removesuffix("+00:00") + "Z"


def _parsed(text: str) -> dt.datetime:
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise _wrong("instant", "write the time by RFC 3339, like 2019-08-07T15:04:05Z")
    try:
        return dt.datetime.fromisoformat(text.upper())
    except ValueError:
        raise _wrong("instant", "give a date and time that exist in the calendar") from None


Instant = Annotated[
    dt.datetime,
    BeforeValidator(read_instant),
    PlainSerializer(write_instant, return_type=str, when_used="json"),
    WithJsonSchema(
        {"type": "string", "format": "date-time", "examples": ["2019-08-07T15:04:05Z"]},
    ),
]
"""RFC 3339 with a zone, in; UTC with `Z`, out."""


# --- text -----------------------------------------------------------------------------------------

_BIDI = r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # could make a name read as another
_LINE_CONTROLS = rf"\x00-\x1f\x7f-\x9f\u2028\u2029{_BIDI}"
_TEXT_CONTROLS = rf"\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f{_BIDI}"


def _clean(controls: str, what: str) -> Callable[[str], str]:
    refused = re.compile(f"[{controls}]")

    def check(value: str) -> str:
        # No control is printable, and that is asked faster than the pattern is tried.
        if not value.isprintable() and refused.search(value):
            raise _wrong("text", f"remove the control characters: {what}")
        return value

    return check


_line = AfterValidator(_clean(_LINE_CONTROLS, "one line of plain text is expected"))
_text = AfterValidator(_clean(_TEXT_CONTROLS, "plain text with line breaks is expected"))


def _schema_of(controls: str) -> dict[str, Any]:
    return {"pattern": rf"^[^{controls}]*[^\s{controls}][^{controls}]*$"}


Name = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=120),
    _line,
    Field(json_schema_extra=_schema_of(_LINE_CONTROLS)),
]
"""One line, at most 120 characters."""

Line = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=300),
    _line,
    Field(json_schema_extra=_schema_of(_LINE_CONTROLS)),
]
"""One line, at most 300 characters."""

Headline = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=160),
    _line,
    Field(json_schema_extra=_schema_of(_LINE_CONTROLS)),
]
"""One line, at most 160 characters: what fits a text message (CAP 1.2)."""

Note = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=500),
    _text,
    Field(json_schema_extra=_schema_of(_TEXT_CONTROLS)),
]
"""A short text with line breaks, at most 500 characters."""

Prose = Annotated[
    str,
    StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=8000),
    _text,
    Field(json_schema_extra=_schema_of(_TEXT_CONTROLS)),
]
"""A text with line breaks, at most 8,000 characters."""


# --- shapes ---------------------------------------------------------------------------------------


def shaped(pattern: str, sentence: str) -> tuple[AfterValidator, Any]:
    """Require the whole text to match `pattern`; the sentence says what to write instead."""
    compiled = re.compile(pattern)

    def check(value: str) -> str:
        if compiled.fullmatch(value) is None:
            raise _wrong("shape", sentence)
        return value

    return AfterValidator(check), Field(
        max_length=254, json_schema_extra={"pattern": f"^{pattern}$"}
    )


def _wrong(kind: str, sentence: str) -> PydanticCustomError:
    return PydanticCustomError(kind, "{sentence}", {"sentence": sentence})


_phone, _phone_field = shaped(
    r"\+[1-9][0-9]{6,14}", "write the number by E.164, like +16015550100: no spaces, country first"
)
Phone = Annotated[str, _phone, _phone_field]
"""A telephone number (ITU E.164)."""

_email, _email_field = shaped(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@"
    r"([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,63}",
    "write an address like desk@county.example",
)
Email = Annotated[str, _email, _email_field]
"""A plain mail address (the `dot-atom` form of RFC 5321), at most 254 characters."""

_county, _county_field = shaped(
    r"[0-9]{5}", "write the county's FIPS code: 5 digits with leading zeros, like 28123"
)
CountyFips = Annotated[str, _county, _county_field]

_state, _state_field = shaped(
    r"[0-9]{2}", "write the state's FIPS code: 2 digits, like 28 for Mississippi"
)
StateFips = Annotated[str, _state, _state_field]

_lea, _lea_field = shaped(
    r"[0-9]{7}", "write the district's NCES id: 7 digits with leading zeros, like 2803060"
)
LeaId = Annotated[str, _lea, _lea_field]

_zip, _zip_field = shaped(r"[0-9]{5}", "write the 5 digits of the ZIP code, like 39074")
ZipCode = Annotated[str, _zip, _zip_field]

_tribe, _tribe_field = shaped(
    r"[a-z0-9][a-z0-9-]{0,79}", "write the tribal area's short name: small letters, digits, hyphens"
)
TribalArea = Annotated[str, _tribe, _tribe_field]

_language, _language_field = shaped(
    r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}", "write a language tag (BCP 47), like en or es"
)
Language = Annotated[str, _language, _language_field]

_word, _word_field = shaped(
    r"[a-z][a-z0-9_]{0,39}", "write one word in small letters, digits and underscores"
)
Word = Annotated[str, _word, _word_field]

_TAIL = "[0-7][0-9a-hjkmnp-tv-z]{25}"


def _typeid(prefix: str) -> tuple[AfterValidator, Any]:
    return shaped(f"{prefix}_{_TAIL}", f"give the id as the bus gave it: it begins with {prefix}_")


_ack, _ack_field = _typeid("ack")
_agy, _agy_field = _typeid("agy")
_cnt, _cnt_field = _typeid("cnt")
_dlg, _dlg_field = _typeid("dlg")
_dlv, _dlv_field = _typeid("dlv")
_exr, _exr_field = _typeid("exr")
_inc, _inc_field = _typeid("inc")
_key, _key_field = _typeid("key")
_ntc, _ntc_field = _typeid("ntc")
_obl, _obl_field = _typeid("obl")
_ofr, _ofr_field = _typeid("ofr")
_qst, _qst_field = _typeid("qst")
_rpl, _rpl_field = _typeid("rpl")
_rsp, _rsp_field = _typeid("rsp")
_shf, _shf_field = _typeid("shf")
_sub, _sub_field = _typeid("sub")
AcknowledgementIdText = Annotated[AcknowledgementId, _ack, _ack_field]
AgencyIdText = Annotated[AgencyId, _agy, _agy_field]
ContactIdText = Annotated[ContactId, _cnt, _cnt_field]
DelegationIdText = Annotated[DelegationId, _dlg, _dlg_field]
DeliveryIdText = Annotated[DeliveryId, _dlv, _dlv_field]
ExerciseIdText = Annotated[ExerciseId, _exr, _exr_field]
IncidentIdText = Annotated[IncidentId, _inc, _inc_field]
ApiKeyIdText = Annotated[ApiKeyId, _key, _key_field]
NoticeIdText = Annotated[NoticeId, _ntc, _ntc_field]
ObligationIdText = Annotated[ObligationId, _obl, _obl_field]
OfferIdText = Annotated[OfferId, _ofr, _ofr_field]
QuestionIdText = Annotated[QuestionId, _qst, _qst_field]
ReplayIdText = Annotated[ReplayId, _rpl, _rpl_field]
ResponsibilityIdText = Annotated[ResponsibilityId, _rsp, _rsp_field]
ShiftIdText = Annotated[ShiftId, _shf, _shf_field]
SubscriptionIdText = Annotated[SubscriptionId, _sub, _sub_field]


_URL = r"https?://[\x21-\x5b\x5d-\x7e]{1,2040}"


def _web_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise _wrong("url", "write a whole address, like https://alerts.county.example/notices")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _wrong("url", "leave user names, passwords and #fragments out of the address")
    return value


Url = Annotated[
    str,
    StringConstraints(strict=True, max_length=2048),
    AfterValidator(_web_address),
    shaped(_URL, "write the address in ASCII, without spaces and backslashes")[0],
    Field(json_schema_extra={"pattern": f"^{_URL}$"}),
]
"""An absolute http or https address. Whether the bus may call it is the egress guard's to say."""


@functools.cache
def _known_zones() -> frozenset[str]:
    return frozenset(available_timezones())  # reads the disk, once


def _known_zone(value: str) -> str:
    if value not in _known_zones():
        raise _wrong("zone", "name an IANA time zone, like America/Chicago")
    return value


Zone = Annotated[str, StringConstraints(strict=True, max_length=64), AfterValidator(_known_zone)]
"""A time zone of the IANA database."""


# --- numbers --------------------------------------------------------------------------------------

Count = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
"""People counted. Unknown is null, never zero (I13)."""

Version = Annotated[int, Field(strict=True, ge=1, le=INT32_MAX)]

Latitude = Annotated[float, Field(strict=True, ge=-90, le=90, allow_inf_nan=False)]
Longitude = Annotated[float, Field(strict=True, ge=-180, le=180, allow_inf_nan=False)]
Position = tuple[Latitude, Longitude]
"""Latitude, longitude in degrees (WGS 84, the order of CAP 1.2)."""
