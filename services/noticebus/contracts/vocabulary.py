"""The words of the bus: what is stored, sent and shown uses these values and no others."""

from enum import StrEnum


class AgencyKind(StrEnum):
    FEDERAL = "federal"
    LAW_ENFORCEMENT = "law_enforcement"
    CPS = "cps"
    TRIBAL_CHILD_WELFARE = "tribal_child_welfare"
    SCHOOL_DISTRICT = "school_district"
    FAITH = "faith"
    COMMUNITY = "community"
    OPERATOR = "operator"


class Role(StrEnum):
    """The part a responsible agency answers in."""

    CPS = "cps"
    SCHOOL = "school"
    TRIBAL_CHILD_WELFARE = "tribal_child_welfare"
    COMMUNITY = "community"


class Scope(StrEnum):
    """What an API key may do."""

    ADMIN = "admin"  # agencies, contacts, responsibilities, keys
    OPERATE = "operate"  # approve subscriptions, record answers for others, read every report
    POST = "post"  # post, update and cancel notices as its agency
    ANSWER = "answer"  # acknowledge, ask and read as its agency
    SUBSCRIBE = "subscribe"  # manage its agency's subscriptions
    AUDIT = "audit"  # read every report and the ledger, change nothing


class UserRole(StrEnum):
    """What a person who signs in does here; `access.users` says which scopes each has."""

    OPERATOR = "operator"
    SUPERVISOR = "supervisor"  # an operator who also administers
    AUDITOR = "auditor"
    AGENCY_ADMINISTRATOR = "agency_administrator"  # of one agency: endpoints, people, answers
    POSTER = "poster"  # a duty officer of one agency who posts


class SignInMethod(StrEnum):
    """What showed who a person is."""

    PASSWORD = "password"  # noqa: S105 - a word, no secret
    OIDC = "oidc"  # the agency's own identity provider
    PROXY = "proxy"  # a header of a trusted proxy
    LINK = "link"  # a short-lived link to one agency's pages


class Position(StrEnum):
    """Where a contact stands in the order of escalation, until rosters say who is on duty."""

    ON_DUTY = "on_duty"
    SECOND = "second"
    HEAD = "head"
    OTHER = "other"


class NoticeKind(StrEnum):
    ENFORCEMENT_ACTION = "enforcement_action"
    FAMILY_SAFETY = "family_safety"
    ADVANCE = "advance"
    ALL_CLEAR = "all_clear"


class Msg(StrEnum):
    """CAP 1.2 `msgType`, in lower case."""

    ALERT = "alert"
    UPDATE = "update"
    CANCEL = "cancel"


class Status(StrEnum):
    """CAP 1.2 `status`, in lower case. Nothing but `actual` enters a live figure."""

    ACTUAL = "actual"
    EXERCISE = "exercise"
    TEST = "test"


class NoticeClass(StrEnum):
    A = "A"  # children may be without a carer now
    B = "B"  # it happened, children known or unknown
    C = "C"  # prepare
    D = "D"  # record only


class NoticeState(StrEnum):
    SCHEDULED = "scheduled"
    RELEASED = "released"
    CANCELLED = "cancelled"


class IncidentState(StrEnum):
    OPEN = "open"
    CLEARED = "cleared"  # an all-clear is its latest version; an update opens it again
    CANCELLED = "cancelled"


class ChangeReason(StrEnum):
    NEW_INFO = "new_info"
    CORRECTION = "correction"
    WITHDRAWN = "withdrawn"


class MaterialReason(StrEnum):
    """Why a version asks for a new answer (research/domain.md section 4.4)."""

    DECLARED = "declared"  # the poster said so
    CLASS_RAISED = "class_raised"
    CHILDREN_UP = "children_up"
    NEW_PLACE = "new_place"
    NEW_SITE = "new_site"
    PHASE_CHANGED = "phase_changed"


class Standing(StrEnum):
    """`mandatory` comes from a responsibility; a subscription alone makes `advisory`."""

    MANDATORY = "mandatory"
    ADVISORY = "advisory"


class ObligationState(StrEnum):
    OPEN = "open"
    CLOSED = "closed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    WAIVED = "waived"


class Owed(StrEnum):
    """What a debtor owes.

    A recipient an answer to a notice; a poster an answer to a question, or an update it promised;
    the operators somebody for a place that nobody answers for.
    """

    NOTICE = "notice"
    QUESTION = "question"
    UPDATE = "update"
    COVERAGE = "coverage"


class Answer(StrEnum):
    RECEIVED = "received"
    ACCEPTED = "accepted"
    NEED_MORE_TIME = "need_more_time"
    DECLINED = "declined"


class DeclineReason(StrEnum):
    NO_JURISDICTION = "no_jurisdiction"
    NO_CAPACITY = "no_capacity"
    DUPLICATE = "duplicate"
    OTHER = "other"


class How(StrEnum):
    """The way an answer reached the operator who records it."""

    PHONE = "phone"
    RADIO = "radio"
    IN_PERSON = "in_person"
    MAIL = "mail"


class VerifiedBy(StrEnum):
    """What identified the person or system that answered."""

    API_KEY = "api_key"
    OPERATOR = "operator"
    LINK = "link"
    TEXT = "text"  # a text message from a verified telephone, with the code it was sent
    CALL = "call"  # the code that a call spoke, typed on the verified telephone
    SESSION = "session"  # signed in to the console for the recipient itself


class Notify(StrEnum):
    """Whom an escalation step reaches. `operators` are the bus's own."""

    ON_DUTY = "on_duty"
    FIRST_TWO = "first_two"  # the first two people going up the line, together
    SECOND = "second"
    HEAD = "head"
    ALL_CONTACTS = "all_contacts"
    DELEGATE = "delegate"  # who stands in for the recipient by a recorded delegation
    OPERATORS = "operators"


class Channel(StrEnum):
    WEBHOOK = "webhook"
    EMAIL = "email"
    SMS = "sms"
    VOICE = "voice"
    KAFKA = "kafka"  # the agency's own topic
    INBOX = "inbox"


class ContentLevel(StrEnum):
    """How much of a notice a subscription may carry (domain.md, section 4 tiers)."""

    ID_ONLY = "id_only"
    PUBLIC = "public"
    PARTNER = "partner"
    CPS = "cps"


class SubscriptionState(StrEnum):
    PENDING_APPROVAL = "pending_approval"
    PENDING_VERIFICATION = "pending_verification"
    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class PauseReason(StrEnum):
    """Why a subscription is paused."""

    REQUESTED = "requested"
    LEASE_LAPSED = "lease_lapsed"  # nobody renewed it; a person decides whether it ends


class HeldBack(StrEnum):
    """What becomes of what a pause held back, once it ends."""

    SEND = "send"  # in its turn
    LEAVE = "leave"  # it stays in the inbox, and is not sent


class EndpointState(StrEnum):
    """How an endpoint does. A tripped one is kept on, probed, and warned about; never disabled."""

    HEALTHY = "healthy"
    FAILING = "failing"
    TRIPPED = "tripped"
    PROBING = "probing"  # one delivery is on its way to find out whether it works again


class ReplayState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class Cause(StrEnum):
    """Why a delivery exists. Only `notice` consumes a subscription's sequence number."""

    NOTICE = "notice"
    STEP = "step"
    CORRECTION = "correction"
    QUESTION = "question"
    ANSWER = "answer"  # what the poster answered, to those who asked
    OFFER = "offer"
    COVERAGE = "coverage"  # to the operators: a place that nobody answers for
    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    TEST = "test"
    WARNING = "warning"  # to an agency's contacts: its endpoint fails, or its lease runs out
    REPLAY = "replay"  # an earlier delivery again, under its own id
    DIGEST = "digest"  # to the operators at a change of shift: counts and a link


class DeliveryState(StrEnum):
    QUEUED = "queued"
    SENDING = "sending"
    HANDED_OVER = "handed_over"  # a telephone provider has it and has not said what came of it
    DELIVERED = "delivered"
    EXHAUSTED = "exhausted"
    MOOT = "moot"
    REVOKED = "revoked"


class Outcome(StrEnum):
    """What one attempt came to."""

    DELIVERED = "delivered"
    HANDED_OVER = "handed_over"  # the telephone provider took it; its callback says the rest
    REFUSED = "refused"  # the recipient said no: any 3xx or 4xx
    GONE = "gone"  # 410: ends the delivery
    FAILED = "failed"  # 5xx, or the connection broke
    TIMED_OUT = "timed_out"
    BLOCKED = "blocked"  # the egress guard refused the address
    UNSENDABLE = "unsendable"  # ours: nothing was put on the wire


class Fault(StrEnum):
    """Whose fault a failed attempt was."""

    OURS = "ours"
    NETWORK = "network"
    RECIPIENT = "recipient"


class UnreachableReason(StrEnum):
    NO_VERIFIED_CHANNEL = "no_verified_channel"
    SUBSCRIPTION_PAUSED = "subscription_paused"
    MAIL_NOT_CONFIGURED = "mail_not_configured"


class QuestionState(StrEnum):
    OPEN = "open"
    ANSWERED = "answered"


class QuestionTopic(StrEnum):
    HOW_MANY_CHILDREN = "how_many_children"
    AGES = "ages"
    LANGUAGES = "languages"
    WHERE_PROCESSED = "where_processed"
    WHEN_RELEASED = "when_released"
    WHO_IS_THE_CONTACT = "who_is_the_contact"
    OTHER = "other"


class HeldReason(StrEnum):
    """Why a delivery waits although it could go."""

    BUNDLE = "bundle"  # others to the same contact follow shortly: one message carries them all
    HOURLY_CAP = "hourly_cap"  # the contact has had its fill for the hour
    BURST = "burst"  # many steps of one recipient fell due at once, as after an outage
    ENDPOINT_DOWN = "endpoint_down"  # the endpoint is tripped: kept until a probe gets through
    PAUSED = "paused"  # the subscription is paused: kept until it is resumed
    TURN = "turn"  # part of a backlog or a replay: goes in its turn, at the endpoint's rate


class DelegationHours(StrEnum):
    """When an agency's delegate stands in for it."""

    ALWAYS = "always"
    OUT_OF_HOURS = "out_of_hours"


class OfferType(StrEnum):
    """What can be offered (research/domain.md section 4.6)."""

    MEALS = "meals"
    SPACE = "space"
    TRANSPORT = "transport"
    INTERPRETER = "interpreter"
    LEGAL_CLINIC = "legal_clinic"
    CHILDCARE = "childcare"  # by cleared persons only
    MONEY = "money"
    GOODS = "goods"


class OfferAnswer(StrEnum):
    ACCEPT = "accept"
    DECLINE = "decline"
    HOLD = "hold"


class OfferState(StrEnum):
    OPEN = "open"
    HELD = "held"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    LAPSED = "lapsed"


class BackgroundChecked(StrEnum):
    YES = "yes"
    NO = "no"
    NOT_APPLICABLE = "not_applicable"


class ExerciseState(StrEnum):
    SCHEDULED = "scheduled"
    RUNNING = "running"
    ENDED = "ended"
    CANCELLED = "cancelled"
