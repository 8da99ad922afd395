"""The retry schedules over HTTP."""

from fastapi import APIRouter

from noticebus.contracts.schedule import PhaseView, ScheduleList, ScheduleView
from noticebus.contracts.vocabulary import NoticeClass
from noticebus.domain.schedules import RetrySchedule
from noticebus.gateway.dependencies import Caller, TheDesk
from noticebus.gateway.problems import LISTED, responses

router = APIRouter(prefix="/v1/schedules", tags=["operations"])


@router.get("", responses=responses(*LISTED))
async def list_schedules(desk: TheDesk, _caller: Caller) -> ScheduleList:
    """List the retry schedule of each class: phases, jitter, horizon. Any key may read them.

    They are settings of the installation, the same for every recipient. Tries that failed through a
    fault of the bus are not on them.
    """
    return ScheduleList(items=tuple(_view(one, desk.schedules[one]) for one in NoticeClass))


def _view(notice_class: NoticeClass, schedule: RetrySchedule) -> ScheduleView:
    return ScheduleView(
        notice_class=notice_class,
        phases=tuple(
            PhaseView(
                name=one.name,
                tries=one.tries,
                first_s=one.first.total_seconds(),
                factor=one.factor,
                top_s=one.top.total_seconds(),
            )
            for one in schedule.phases
        ),
        jitter=schedule.jitter,
        retry_after_max_s=schedule.retry_after_max.total_seconds(),
        tries=schedule.tries_max,
        horizon_s=schedule.horizon.total_seconds(),
    )
