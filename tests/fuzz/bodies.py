"""Bodies that are nearly right: published examples with one or two places changed at random.

What a schema alone generates rarely gets past the rules; these get into casework and the store.
"""

import copy
from typing import Any

from hypothesis import strategies as st

from fuzz.served import Bus, example

EXAMPLES_OF = {
    "POST /v1/notices": ("notice-post.v1.every-field", "notice-post.v1.worksite"),
    "POST /v1/notices/preview": ("notice-post.v1.every-field", "notice-post.v1.least"),
    "POST /v1/incidents/{incident_id}/updates": (
        "notice-update.v1.more-detained",
        "notice-post.v1.least",
        "notice-post.v1.worksite",
    ),
    "POST /v1/incidents/{incident_id}/cancel": ("notice-cancel.v1.posted-by-mistake",),
    "POST /v1/incidents/{incident_id}/cancel/confirm": ("notice-cancel-confirm.v1.second-person",),
    "POST /v1/incidents/{incident_id}/all-clear": ("notice-all-clear.v1.two-missing",),
    "POST /v1/exercises": ("exercise-post.v1.autumn",),
    "POST /v1/incidents/{incident_id}/questions": ("question-post.v1.how-many",),
    "POST /v1/questions/{question_id}/answers": (
        "question-answer-post.v1.number",
        "question-answer-post.v1.later",
    ),
    "POST /v1/incidents/{incident_id}/offers": ("offer-post.v1.meals",),
    "POST /v1/offers/{offer_id}/answers": ("offer-answer-post.v1.accept",),
    "POST /v1/notices/{notice_id}/acknowledgements": (
        "acknowledgement-post.v1.accepted",
        "acknowledgement-post.v1.declined",
        "acknowledgement-post.v1.need-more-time",
    ),
    "POST /v1/obligations/{obligation_id}/acknowledgements": (
        "acknowledgement-operator-post.v1.by-phone",
    ),
    "POST /v1/agencies": ("agency-post.v1.cps",),
    "PATCH /v1/agencies/{agency_id}": ("agency-post.v1.cps",),
    "POST /v1/agencies/{agency_id}/contacts": ("contact-post.v1.desk",),
    "PATCH /v1/agencies/{agency_id}/contacts/{contact_id}": ("contact-post.v1.desk",),
    "POST /v1/agencies/{agency_id}/responsibilities": ("responsibility-post.v1.state",),
    "POST /v1/subscriptions": ("subscription-post.v1.webhook", "subscription-post.v1.email"),
    "PATCH /v1/subscriptions/{subscription_id}": ("subscription-post.v1.webhook",),
    "POST /v1/api-keys": ("api-key-post.v1.poster",),
}
NEVER_PATCHED = frozenset({"kind", "kinds", "channel", "contact_id", "agency_id"})
STRANGE = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400, 0, -1]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=40),
    st.sampled_from(
        ["", "\u0001", "\u202e", "\ufeff", "=1+1", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"]
    ),
    st.sampled_from(
        ["2019-08-07T15:04:05", "28123", "00000", "agy_", "https://[::1]/", "x" * 5000]
    ),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.none(), max_size=2),
)
"""Values that a careful program has an answer to."""


def nearly_right(bus: Bus, label: str) -> st.SearchStrategy[Any] | None:
    """Give bodies for an operation that are its examples, as they are or slightly changed."""
    names = EXAMPLES_OF.get(label)
    if names is None:
        return None
    return st.builds(
        _changed,
        st.builds(
            lambda name, version: _at_home(bus, example(name), label=label, version=version),
            st.sampled_from(names),
            st.integers(1, 4),
        ),
        st.just([])
        | st.lists(
            st.tuples(st.integers(0, 200), st.integers(0, 3), STRANGE), min_size=1, max_size=2
        ),
    )


def _at_home(bus: Bus, body: dict[str, Any], *, label: str, version: int) -> dict[str, Any]:
    """Make an example fit the operation, and point its ids at things that exist."""
    if label.endswith(("/updates", "/cancel", "/all-clear")):
        body["base_version"] = version
    if label.endswith("/updates"):
        body["change_reason"] = "new_info"
    if label.startswith("PATCH"):
        body = {name: value for name, value in body.items() if name not in NEVER_PATCHED}
    if label == "POST /v1/subscriptions":
        body["agency_id"] = bus.known["agy"][0]
    for name in ("agency_id", "contact_id"):
        if body.get(name):
            body[name] = bus.known[body[name][:3]][0]
    return body


def _changed(body: Any, changes: list[tuple[int, int, Any]]) -> Any:
    body = copy.deepcopy(body)
    for which, how, value in changes:
        places = list(_places(body))
        if not places:
            break
        holder, name = places[which % len(places)]
        if how == 0 and isinstance(holder, dict):
            del holder[name]
        elif how == 1 and isinstance(holder, dict):
            holder["unheard_of"] = value
        elif how == 1:
            holder.append(value)
        else:
            holder[name] = value
    return body


def _places(body: Any) -> Any:
    named = body.items() if isinstance(body, dict) else enumerate(body)
    for name, value in list(named):
        yield body, name
        if isinstance(value, dict | list):
            yield from _places(value)
