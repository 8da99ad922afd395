"""What a refusal says to a person: a role and whom to ask, where a program hears of keys."""

from noticebus.access.principals import MissingScopeError, NoAgencyError
from noticebus.access.sessions import SCOPES_OF
from noticebus.casework.intake import NotStoredError, UnconfirmedError
from noticebus.errors import NoticebusError, RefusedError


def told(error: NoticebusError) -> str:
    """Say why something was refused, and what to do about it, in a person's words."""
    match error:
        case MissingScopeError():
            roles = [
                role.replace("_", " ")
                for role, has in SCOPES_OF.items()
                if not has.isdisjoint(error.needed)
            ]
            return (
                f"This is for people with the role {' or '.join(roles)}, and you are signed in"
                " without. Ask a supervisor, who gives roles on the page People, or sign in as"
                " somebody who has it."
            )
        case NoAgencyError():
            return (
                "You are signed in as somebody of no agency, so you cannot act as one. Sign in as"
                " somebody of the agency, or ask a supervisor, who says on the page People whose"
                " you are."
            )
        case UnconfirmedError():
            return (
                "It is not known whether it was posted. Open Post a notice: what is still among the"
                " drafts there, or waits for approval, was not posted yet. Pressing again posts"
                " nothing twice."
            )
        case NotStoredError():
            return (
                "Nothing was posted. Open Post a notice, then the draft or what waits for approval,"
                " and press again: that posts nothing twice."
            )
        case RefusedError(code="idempotency-key-reused"):
            return (
                "It was posted already, as it stood then. This change was not sent: open the"
                " incident and post an update."
            )
        case _:
            return error.message
