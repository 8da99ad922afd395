"""Words of the report, as every page says them: what happens next, what came of a try, debts."""

from noticebus.contracts.vocabulary import Notify, Outcome, Owed

STEPS = {
    Notify.ON_DUTY: "remind the desk on duty",
    Notify.FIRST_TWO: "tell the first two people up the line",
    Notify.SECOND: "tell the second contact",
    Notify.HEAD: "tell the head of the agency",
    Notify.ALL_CONTACTS: "tell every contact of the agency",
    Notify.DELEGATE: "tell who stands in for the agency",
    Notify.OPERATORS: "hand over to the operators",
}
OUTCOMES = {
    Outcome.DELIVERED: "✓ delivered",
    Outcome.HANDED_OVER: "… with the telephone provider",
    Outcome.REFUSED: "✗ refused",
    Outcome.GONE: "✗ address gone",
    Outcome.FAILED: "✗ failed",
    Outcome.TIMED_OUT: "✗ no reply in time",
    Outcome.BLOCKED: "✗ address not allowed",
    Outcome.UNSENDABLE: "✗ could not be sent",
}
DEBTS = {
    Owed.QUESTION: "the answer to a question",
    Owed.UPDATE: "the update it promised",
    Owed.NOTICE: "an answer to a notice",
}
