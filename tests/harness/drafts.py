"""A notice typed in the console, as far as its check, without walking through the form."""

from dataclasses import replace

from harness import desk as furnish
from noticebus.access.principals import Principal
from noticebus.casework import approvals, post_drafts, posting
from noticebus.casework.desk import Desk
from noticebus.casework.post_drafts import Written
from noticebus.casework.posting import Confirmed
from noticebus.console import posting_form
from noticebus.console.posting_form import Typed
from noticebus.console.posting_templates import TEMPLATES
from noticebus.contracts.vocabulary import Scope
from noticebus.store.agencies import Agency
from noticebus.store.users import User

KEY = "d" * 32
WRITTEN = Written(
    template="worksite",
    step="check",
    counties=(furnish.SCOTT_COUNTY,),
    values={
        **TEMPLATES["worksite"].filled,
        "headline": "Enforcement action near Morton",
        "occurred": "2019-08-07T07:55",
        "unit": "Field office",
        "role": "duty officer",
        "callback": "+16015550100",
    },
)


def poster(user: User, agency: Agency) -> Principal:
    """Give a person of an agency as who posts."""
    return replace(furnish.principal(Scope.POST, agency=agency), id=user.id, name=user.name)


async def keep_draft(desk: Desk, user: User, agency: Agency) -> str:
    """Keep a draft of a person; give its address."""
    await post_drafts.save(desk, poster(user, agency), key=KEY, written=WRITTEN)
    return f"/post/drafts/{KEY}"


async def ask_for_approval(desk: Desk, user: User, agency: Agency) -> str:
    """Ask for a second person in somebody's name; give the address of the page that approves."""
    typed = Typed(template="worksite", key=KEY, counties=WRITTEN.counties, values=WRITTEN.values)
    post = posting_form.read(typed, zone=agency.zone).post
    assert post is not None, "the form is filled in"
    principal = poster(user, agency)
    checked = await posting.check(desk, principal, post=post)
    confirmed = Confirmed(count=checked.preview.count, mark=checked.mark)
    assert not await approvals.ask(
        desk, principal, key=KEY, written=WRITTEN, post=post, confirmed=confirmed
    )
    return f"/post/approvals/{user.id}/{KEY}"
