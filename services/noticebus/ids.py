"""Identifiers: TypeIDs (a prefix over a UUIDv7), one type per aggregate."""

import datetime as dt
from typing import NewType

import uuid_utils
from typeid.codecs import base32

AcknowledgementId = NewType("AcknowledgementId", str)
AgencyId = NewType("AgencyId", str)
ApiKeyId = NewType("ApiKeyId", str)
ContactId = NewType("ContactId", str)
DelegationId = NewType("DelegationId", str)
DeliveryId = NewType("DeliveryId", str)
EntryId = NewType("EntryId", str)
ExerciseId = NewType("ExerciseId", str)
IncidentId = NewType("IncidentId", str)
NoticeId = NewType("NoticeId", str)
ObligationId = NewType("ObligationId", str)
OfferId = NewType("OfferId", str)
PolicyId = NewType("PolicyId", str)
QuestionId = NewType("QuestionId", str)
ReplayId = NewType("ReplayId", str)
ResponsibilityId = NewType("ResponsibilityId", str)
SessionId = NewType("SessionId", str)
ShiftId = NewType("ShiftId", str)
SubscriptionId = NewType("SubscriptionId", str)
UserId = NewType("UserId", str)

ActorId = ApiKeyId | SessionId | UserId  # who did something: a key, a person, or a link's visitor


def _mint(prefix: str) -> str:
    return f"{prefix}_{base32.encode(uuid_utils.uuid7().bytes)}"


def new_acknowledgement_id() -> AcknowledgementId:
    return AcknowledgementId(_mint("ack"))


def new_agency_id() -> AgencyId:
    return AgencyId(_mint("agy"))


def new_api_key_id() -> ApiKeyId:
    return ApiKeyId(_mint("key"))


def new_contact_id() -> ContactId:
    return ContactId(_mint("cnt"))


def new_delegation_id() -> DelegationId:
    return DelegationId(_mint("dlg"))


def new_delivery_id() -> DeliveryId:
    return DeliveryId(_mint("dlv"))


def new_entry_id() -> EntryId:
    return EntryId(_mint("ent"))


def new_exercise_id() -> ExerciseId:
    return ExerciseId(_mint("exr"))


def new_incident_id() -> IncidentId:
    return IncidentId(_mint("inc"))


def new_notice_id() -> NoticeId:
    return NoticeId(_mint("ntc"))


def first_notice_id(minted_at: dt.datetime) -> NoticeId:
    """Give the least id of a notice minted at an instant: it begins with its milliseconds."""
    milliseconds = int(minted_at.timestamp() * 1000)
    return NoticeId(f"ntc_{base32.encode((milliseconds << 80).to_bytes(16, 'big'))}")


def new_obligation_id() -> ObligationId:
    return ObligationId(_mint("obl"))


def new_offer_id() -> OfferId:
    return OfferId(_mint("ofr"))


def new_policy_id() -> PolicyId:
    return PolicyId(_mint("pol"))


def new_question_id() -> QuestionId:
    return QuestionId(_mint("qst"))


def new_replay_id() -> ReplayId:
    return ReplayId(_mint("rpl"))


def new_responsibility_id() -> ResponsibilityId:
    return ResponsibilityId(_mint("rsp"))


def new_session_id() -> SessionId:
    return SessionId(_mint("ses"))


def new_shift_id() -> ShiftId:
    return ShiftId(_mint("shf"))


def new_subscription_id() -> SubscriptionId:
    return SubscriptionId(_mint("sub"))


def new_user_id() -> UserId:
    return UserId(_mint("usr"))


def new_request_id() -> str:
    return _mint("req")
