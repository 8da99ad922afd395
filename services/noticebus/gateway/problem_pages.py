"""Every problem the bus answers with, in one table: what it means, what to do, and its page."""

from collections.abc import Mapping
from html import escape

from noticebus.gateway.problem_conflicts import CONFLICTS, ProblemPage, make_page

_ALL = (
    make_page(
        "bad-request",
        400,
        "The request cannot be read",
        "The request is not what HTTP or JSON allows: broken JSON, text that is not UTF-8, a "
        "NUL character, a cursor that is not ours.",
        "Read `detail`, repair the request and send it again. Sending it unchanged gives the "
        "same answer.",
    ),
    make_page(
        "refused",
        400,
        "The request was refused",
        "The bus understood the request and will not do it.",
        "Read `detail`: it says what was refused and why.",
    ),
    make_page(
        "idempotency-key-invalid",
        400,
        "The Idempotency-Key cannot be used",
        "The key in the header `Idempotency-Key` is empty, too long, or has a character that is "
        "not visible ASCII.",
        "Send a key of 1 to 255 visible ASCII characters; a UUID will do.",
    ),
    make_page(
        "idempotency-key-missing",
        400,
        "The Idempotency-Key is missing",
        "A notice is posted with a key of your own, so that a repeat is recognised and nobody is "
        "told twice. This request has none.",
        "Make a new random key for each notice (a UUID will do), send it in the header "
        "`Idempotency-Key`, and send the same key when you repeat the request.",
    ),
    make_page(
        "telephone-unsigned",
        403,
        "The callback is not signed by the telephone provider",
        "Only the telephone provider calls this address, and signs each callback with the "
        "account's token. This one has no signature, or another. Nothing was done.",
        "Operators: check that `telephone_token` is the account's present token and that "
        "`base_url` is exactly the address the provider calls.",
    ),
    make_page(
        "unauthenticated",
        401,
        "No valid key",
        "The request carries no API key, or one that the bus does not know.",
        "Send `Authorization: Bearer <key>` with the whole key, or ask an administrator of "
        "the bus for one.",
    ),
    make_page(
        "key-expired",
        401,
        "The key has expired",
        "The API key was valid once; its end date has passed.",
        "Ask an administrator of the bus for a new key and put it in place of the old one.",
    ),
    make_page(
        "key-revoked",
        401,
        "The key was revoked",
        "An administrator ended this API key.",
        "Ask an administrator of the bus for a new key. If you did not expect this, ask why "
        "before you do.",
    ),
    make_page(
        "forbidden",
        403,
        "This key may not do that",
        "The key is valid, but lacks the scope or belongs to an agency that may not do this.",
        "`detail` names the scope that is needed. Use another key or ask an administrator for one.",
    ),
    make_page(
        "code-wrong",
        403,
        "Wrong code",
        "The typed code is not the one in the message that carried this link. The try was counted.",
        "Copy the six digits from the same message as the link.",
    ),
    make_page(
        "link-locked",
        403,
        "The link is locked",
        "Too many wrong codes were typed, so the link takes no answer any more.",
        "Ring the bus's operators; they record your answer.",
    ),
    make_page(
        "link-read-only",
        403,
        "This link only shows",
        "The link lets the bus's own people read along; it does not answer for the recipient.",
        "Record what the recipient tells you as an operator's record, with how it reached you.",
    ),
    make_page(
        "link-contact-ended",
        403,
        "The contact has ended",
        "The link was sent to somebody who no longer answers for the agency.",
        "Ask a present contact of the agency, or ring the bus's operators.",
    ),
    make_page(
        "link-unknown",
        404,
        "No such link",
        "The address is not a link of this bus, or what it led to is gone.",
        "Copy the whole address from the newest message, without a line break.",
    ),
    make_page(
        "link-expired",
        410,
        "The link has expired",
        "Links live until 30 days after their incident ends.",
        "Use the link in a newer message, or ring the bus's operators.",
    ),
    make_page(
        "not-found",
        404,
        "Nothing there",
        "There is no such address or thing, or your key may not see it; the bus does not say "
        "which.",
        "Check the id and the path; ids are case-sensitive and carry their kind, as in `sub_…`.",
    ),
    make_page(
        "method-not-allowed",
        405,
        "The method does not exist here",
        "The address exists, but not for this HTTP method.",
        "The `Allow` header lists the methods that do.",
    ),
    make_page(
        "slow-body",
        408,
        "The body came too slowly",
        "The request's body did not arrive in time, so the bus stopped waiting. Nothing was "
        "stored.",
        "Send the request again over a working connection.",
    ),
    *CONFLICTS,
    make_page(
        "stale-revision",
        412,
        "Somebody else changed it first",
        "`If-Match` names a revision that is no longer the newest. Nothing was changed.",
        "Read the thing again, take its `ETag`, look at what changed, and repeat your change "
        "on it.",
    ),
    make_page(
        "too-large",
        413,
        "The body is too large",
        "A request may carry 262,144 bytes (256 KiB) at most.",
        "Send less: leave out what belongs behind a link, or split the request.",
    ),
    make_page(
        "unsupported-media-type",
        415,
        "Not JSON",
        "The body's `Content-Type` is not JSON.",
        "Send JSON with the header `Content-Type: application/json`.",
    ),
    make_page(
        "invalid",
        422,
        "The request says something wrong",
        "The request could be read, but a field is missing, unknown or has a value it cannot "
        "have. Nothing was stored.",
        "`errors` lists every fault with a JSON pointer into your body and what to do about it.",
    ),
    make_page(
        "unknown-place",
        422,
        "A place does not exist",
        "The notice names a county, district, ZIP code or state that does not exist.",
        "`errors` points at each; correct it and post again.",
    ),
    make_page(
        "policy-loop",
        422,
        "The policy goes in circles",
        "A step calls a level over channels that an earlier step has called already, or goes to a "
        "delegate that leads back to the agency. Only reminders to `on_duty` may repeat, one after "
        "the other, each pause longer than the one before it.",
        "Go up the line instead: `on_duty`, `second`, `head`, `all_contacts`, `operators`. "
        "`errors` names the steps.",
    ),
    make_page(
        "policy-reaches-nobody",
        422,
        "The policy reaches nobody",
        "With the contacts, endpoints and operators there are, no step of the policy would call "
        "anybody. A notice under it would be silent.",
        "Enter a contact with a verified channel, or let a step go to `operators`; then send the "
        "policy again.",
    ),
    make_page(
        "invalid-update",
        422,
        "The update does not follow",
        "The update contradicts the version before it: a total that falls, a place that vanishes.",
        "`errors` says which. A figure may fall only in a correction that says so.",
    ),
    make_page(
        "reason-missing",
        422,
        "A decline needs a reason",
        "The answer `declined` came without `reason`.",
        "Send `reason`: no_jurisdiction, no_capacity, duplicate or other.",
    ),
    make_page(
        "several-obligations",
        409,
        "You stand in for several agencies",
        "Your agency stands in for more than one that must answer this notice.",
        "Answer each of them at `/v1/obligations/{id}/acknowledgements`; the problem names them.",
    ),
    make_page(
        "more-time-used",
        422,
        "More time was given already",
        "In one round of an obligation more time is given once.",
        "Answer `accepted` or `declined`.",
    ),
    make_page(
        "eta-missing",
        422,
        "An eta is needed",
        "The answer `need_more_time` came without `eta`.",
        "Send the time by which you will answer.",
    ),
    make_page(
        "eta-past",
        422,
        "The eta has passed",
        "`eta` lies in the past.",
        "Send a time in the future.",
    ),
    make_page(
        "eta-too-far",
        422,
        "The eta is too far away",
        "`eta` is later than the class of the notice or a school's last bus allows.",
        "Send an earlier `eta`, or decline.",
    ),
    make_page(
        "offer-time",
        422,
        "The offer's time does not work",
        "The offer would lapse in the past, or later than 30 days from now.",
        "Send a `lapses_at` that lies ahead, by 30 days at most.",
    ),
    make_page(
        "idempotency-key-reused",
        422,
        "The key belongs to another request",
        "The same `Idempotency-Key` was used before with another body.",
        "Use a fresh key for each new request, and the same key only to repeat one unchanged.",
    ),
    make_page(
        "precondition-required",
        428,
        "If-Match is missing",
        "This changes something that several people administer, so the request must say which"
        " revision it changes.",
        "Read the thing, and send its `ETag` back in the header `If-Match`.",
    ),
    make_page(
        "rate-limited",
        429,
        "Too many requests",
        "The key has used up its share for now.",
        "Wait for the seconds in `Retry-After`, then go on.",
    ),
    make_page(
        "internal",
        500,
        "A fault of the bus",
        "Something went wrong on our side. The fault is logged under the request's id.",
        "Send the request again with the same `Idempotency-Key`. If it stays, give the "
        "operator the `request_id`.",
    ),
    make_page(
        "unavailable",
        503,
        "Not available now",
        "The bus, or something it depends on, does not answer. Nothing was accepted or stored.",
        "Wait for the seconds in `Retry-After` and send the same request again with the same "
        "`Idempotency-Key`.",
    ),
)

PROBLEMS: Mapping[str, ProblemPage] = {page.code: page for page in _ALL}

_FRAME = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><title>{title}</title></head>'
    "<body>{body}</body></html>\n"
)


def render_page(page: ProblemPage) -> str:
    """Render one problem's page as HTML that needs nothing else."""
    body = (
        f"<h1>{escape(page.title)}</h1>"
        f"<p>Code <code>{page.code}</code>, HTTP status {page.status}.</p>"
        f"<h2>What it means</h2><p>{escape(page.meaning)}</p>"
        f"<h2>What to do</h2><p>{escape(page.remedy)}</p>"
        '<p><a href="/problems">All problems</a></p>'
    )
    return _FRAME.format(title=escape(page.title), body=body)


def render_index() -> str:
    """Render the list of all problems as one table."""
    rows = "".join(
        f'<tr><td><a href="/problems/{page.code}">{page.code}</a></td><td>{page.status}</td>'
        f"<td>{escape(page.meaning)}</td><td>{escape(page.remedy)}</td></tr>"
        for page in _ALL
    )
    head = "<tr><th>Code</th><th>Status</th><th>What it means</th><th>What to do</th></tr>"
    body = f"<h1>Problems</h1><table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    return _FRAME.format(title="Problems", body=body)
