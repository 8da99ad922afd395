"""The pages of conflicts: what was true once and is so no longer, or waits for somebody."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemPage:
    """What a person reads behind a problem's `type`."""

    code: str
    status: int
    title: str
    meaning: str
    remedy: str


def make_page(code: str, status: int, title: str, meaning: str, remedy: str) -> ProblemPage:
    """Make a page; its parts always stand in this order."""
    return ProblemPage(code=code, status=status, title=title, meaning=meaning, remedy=remedy)


CONFLICTS = (
    make_page(
        "conflict",
        409,
        "Not in this state",
        "The request was right once or will be later, but not for the state the thing is in now.",
        "Read the thing again, look at its `state`, and decide anew.",
    ),
    make_page(
        "delegation-loop",
        409,
        "The delegation leads back to the agency",
        "The delegate has handed its answering to others, and following them leads back to the "
        "agency itself: nobody would answer.",
        "End one of the delegations on the way, or name another delegate.",
    ),
    make_page(
        "contacts-first",
        409,
        "A contact must come first",
        "A webhook needs a person behind it: when it fails, somebody must be told. The agency"
        " has no contact with mail or phone.",
        "Create a contact for the agency (`POST /v1/agencies/{id}/contacts`), then the "
        "subscription.",
    ),
    make_page(
        "contact-unverified",
        409,
        "The mail address is not verified",
        "Nothing is sent to an address that nobody has confirmed belongs to the contact.",
        "Ask an operator to enter the contact's address; that verifies it. Then repeat the "
        "request.",
    ),
    make_page(
        "stale-version",
        409,
        "Another version came first",
        "`base_version` is no longer the incident's newest version.",
        "Read the incident, apply your change to its newest version, and send it with that "
        "`base_version`.",
    ),
    make_page(
        "incident-cancelled",
        409,
        "The incident was cancelled",
        "A cancelled incident takes no further version.",
        "Post a new notice instead.",
    ),
    make_page(
        "cancel-pending",
        409,
        "A cancel waits already",
        "Somebody has asked to cancel this incident, and the second person has not confirmed it.",
        "Confirm that request at `/v1/incidents/{id}/cancel/confirm` as another person, or take it "
        "back with `DELETE /v1/incidents/{id}/cancel` and ask again.",
    ),
    make_page(
        "no-cancel-requested",
        409,
        "Nothing to confirm",
        "Nobody has asked to cancel this incident in the last 24 hours.",
        "Ask for it at `/v1/incidents/{id}/cancel` with a reason; another person confirms it.",
    ),
    make_page(
        "second-person-needed",
        403,
        "A second person must confirm",
        "A cancel, or a waiver, takes two people. This key, or this name, is the one that asked "
        "for it.",
        "Let somebody else confirm it, under another name and with another key of the agency, or "
        "an operator of the bus.",
    ),
    make_page(
        "waiver-pending",
        409,
        "A waiver waits already",
        "Somebody has asked that this obligation be waived, and the second person has not "
        "confirmed it.",
        "Confirm that request at `/v1/obligations/{id}/waiver/confirmation` as another person, or "
        "take it back with `DELETE /v1/obligations/{id}/waiver` and ask again.",
    ),
    make_page(
        "no-waiver-requested",
        409,
        "Nothing to confirm",
        "Nobody's request to waive this obligation waits: it was taken back, or has ended with a "
        "new round.",
        "Ask for it at `/v1/obligations/{id}/waiver` with a reason; another person confirms it.",
    ),
    make_page(
        "class-a-open",
        409,
        "Matters of class A are open",
        "Somebody must still act for children who may be without a carer, so an all-clear would "
        "say what is not so. `errors` names each matter.",
        "See that each is answered. If the all-clear stands all the same, send it with "
        "`override_reason`.",
    ),
    make_page(
        "exercise-started",
        409,
        "The exercise is not to come any more",
        "Only an exercise that has not started can be called off: it has, or it is over.",
        "Let it end at its time. To tell those who were told that it stops, cancel its incident.",
    ),
    make_page(
        "exercise-ended",
        409,
        "The exercise has ended",
        "An exercise takes no further version, question or offer after its end.",
        "Read its report. Schedule another exercise if you want to go on.",
    ),
    make_page(
        "embargoed",
        409,
        "Still embargoed",
        "The notice has not been released, so nobody has been told and there is nothing to update.",
        "Cancel it and post it anew.",
    ),
    make_page(
        "question-answered",
        409,
        "The question has its answer",
        "Somebody answered this question already; answers are never replaced.",
        "Read the answer. If it is wrong, post an update of the notice that corrects it.",
    ),
    make_page(
        "too-many-questions",
        409,
        "Too many open questions",
        "This incident has as many questions as it can take.",
        "Ring the poster: the number is in `sender`.",
    ),
    make_page(
        "too-many-offers",
        409,
        "Too many offers",
        "This incident has as many offers as it can take.",
        "Ring child protection or the bus's operators, and tell them what you offer.",
    ),
    make_page(
        "offer-settled",
        409,
        "The offer takes no further answer",
        "It was accepted or declined already, or it has lapsed.",
        "Read the incident's offers. If you still need what was offered, ring its contact.",
    ),
    make_page(
        "offer-held",
        409,
        "Another holds the offer",
        "Somebody else has asked for this offer to be kept for them for a while.",
        "Wait until `held_until`, or ring who holds it.",
    ),
    make_page(
        "replay-running",
        409,
        "A replay runs already",
        "A subscription has one replay at a time, so that its endpoint is not sent the same twice "
        "over, and this one's has not ended.",
        "Look at `…/replays` how far it is. Wait until it is done, or cancel it with "
        "`POST …/replays/{id}/cancel`; then ask again.",
    ),
    make_page(
        "resend-changed",
        409,
        "It is not what was counted any more",
        "Since the count somebody has answered, somebody else has sent it, or somebody can be "
        "reached in another way.",
        "Count again (`GET …/resend`), look at it, and send its `count`, `mark` and `after`.",
    ),
    make_page(
        "resend-soon",
        409,
        "They were told a few minutes ago",
        "The silent of this incident were told again less than ten minutes ago.",
        "Ring them. If they are to be told once more all the same, count again and send "
        '`"again": true`.',
    ),
    make_page(
        "idempotency-conflict",
        409,
        "The first request still runs",
        "Another request with the same `Idempotency-Key` has not finished.",
        "Wait a few seconds and send the same request again with the same key.",
    ),
)
