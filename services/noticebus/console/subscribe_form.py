"""The form of a new webhook: what was typed, the order it stands for, or what is wrong with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from noticebus.console.forms import KEY_FORM, Form
from noticebus.console.posting_pages import county_name
from noticebus.contracts.faults import details
from noticebus.contracts.subscription import SubscriptionPost
from noticebus.contracts.vocabulary import Channel, ContentLevel, NoticeKind
from noticebus.domain.gazetteer import Gazetteer
from noticebus.errors import Detail

TEXT_MAX: Final = 2000
FIELDS: Final = ("name", "url", "state", "filter", "leas", "content_level", "key")
_FIELD_OF: Final = {
    "name": "name",
    "url": "url",
    "areas": "county",
    "kinds": "kinds",
    "content_level": "content_level",
}
_KEYLESS: Final = (
    "The form lacks the key that makes of it one webhook only. Open the page again from its"
    " agency's page."
)
_NOWHERE: Final = "Choose a whole state or at least one county, or write a school district."
LEVEL_WORDS: Final[Mapping[ContentLevel, str]] = {
    ContentLevel.ID_ONLY: "Only that there is a notice: your system fetches it with a key",
    ContentLevel.PUBLIC: "What the public may read",
    ContentLevel.PARTNER: "What partners read: the place, numbers and what is asked of you",
    ContentLevel.CPS: "What child protection reads, every field of it",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """Everything typed and chosen so far."""

    values: Mapping[str, str]
    counties: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


def typed_in(form: Form) -> Typed:
    """Read what was typed, cut to what can be right."""
    return Typed(
        values={name: form.text(name)[:TEXT_MAX] for name in FIELDS},
        counties=tuple(dict.fromkeys(form.every("county"))),
        whole=tuple(dict.fromkeys(form.every("whole"))),
        kinds=tuple(one for one in dict.fromkeys(form.every("kind")) if one in set(NoticeKind)),
    )


def read(typed: Typed, *, agency_id: str) -> tuple[SubscriptionPost | None, dict[str, str]]:
    """Read the form as an order; None with a sentence for each field that needs another look."""
    if KEY_FORM.fullmatch(typed["key"]) is None:
        return None, {"form": _KEYLESS}
    places = {
        "state": list(typed.whole),
        "county_fips": list(typed.counties),
        "lea_id": typed["leas"].replace(",", " ").split(),
    }
    if not any(places.values()):
        return None, {"county": _NOWHERE}
    body: dict[str, Any] = {
        "agency_id": agency_id,
        "name": typed["name"],
        "channel": Channel.WEBHOOK,
        "url": typed["url"] or None,
        "kinds": list(typed.kinds),
        "content_level": typed["content_level"],
        "areas": [{name: codes for name, codes in places.items() if codes}],
    }
    try:
        return SubscriptionPost.model_validate(body), {}
    except ValidationError as error:
        return None, beside(details(error))


def beside(faults: Iterable[Detail]) -> dict[str, str]:
    """Put faults beside their fields; what is of none is of the whole form."""
    found: dict[str, str] = {}
    for one in faults:
        first = one.pointer.split("/")[1] if "/" in one.pointer else ""
        field = _FIELD_OF.get(first, "form")
        if one.pointer.startswith("/areas/0/lea_id"):
            field = "leas"
        found.setdefault(field, f"{one.message[:1].upper()}{one.message[1:].rstrip('.')}.")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A state or county on the form."""

    code: str
    name: str
    is_state: bool
    chosen: bool


def places_of(typed: Typed, gazetteer: Gazetteer) -> list[Place]:
    """List what is chosen, then what the state that was asked for offers."""
    chosen = [_state(one, gazetteer, chosen=True) for one in typed.whole]
    chosen += [_county(one, gazetteer, chosen=True) for one in typed.counties]
    if not typed["state"]:
        return chosen
    offered = [] if typed["state"] in typed.whole else [_state(typed["state"], gazetteer)]
    wanted = typed["filter"].casefold()
    counties = [
        _county(fips, gazetteer)
        for fips in gazetteer.counties_of_state(typed["state"])
        if fips not in typed.counties
    ]
    matching: Sequence[Place] = [one for one in counties if wanted in one.name.casefold()]
    return [*chosen, *offered, *sorted(matching, key=lambda one: one.name)]


def _state(code: str, gazetteer: Gazetteer, *, chosen: bool = False) -> Place:
    state = gazetteer.state(code)
    name = f"All of {state.name}" if state else code
    return Place(code=code, name=name, is_state=True, chosen=chosen)


def _county(fips: str, gazetteer: Gazetteer, *, chosen: bool = False) -> Place:
    return Place(code=fips, name=county_name(fips, gazetteer), is_state=False, chosen=chosen)
