"""The whole report as a file: page after page in one reading of the database, and one entry of it.

A file has at most `LINES_MAX` lines; where the report has more, the answer's headers, the file
itself and the next cursor say so. Nothing is cut without a word.
"""

import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import IO, Protocol, assert_never
from urllib.parse import quote

from sqlalchemy.ext.asyncio import AsyncConnection

from noticebus.access.principals import Principal
from noticebus.casework import reports
from noticebus.casework.desk import Desk
from noticebus.casework.report_basis import Wanted, past
from noticebus.casework.report_csv import CsvFile
from noticebus.casework.report_json import JsonFile
from noticebus.casework.report_page import page_of
from noticebus.casework.report_rows import Basis, Batch, Detail
from noticebus.casework.report_views import items_of
from noticebus.casework.report_workshop import Bench
from noticebus.casework.report_xlsx import XlsxFile
from noticebus.casework.reports import Asked, ReportRead
from noticebus.contracts.base import write_instant
from noticebus.contracts.vocabulary import EndpointState
from noticebus.errors import RefusedError
from noticebus.ids import AgencyId, NoticeId, ObligationId
from noticebus.store import report_details
from noticebus.store import reports as rows
from noticebus.store.report_details import LastAnswer, NoticeFacts
from noticebus.store.reports import Line

LINES_MAX = 50_000
PAGE_LINES = 500
PAST_LINES = 5_000  # a past report is rebuilt for each page: its pages are few and large
CHUNK_BYTES = 2**16
MEMORY_BYTES_MAX = 2**20  # what is longer goes to a file that nobody else can open

HasLeft = Callable[[], Awaitable[bool]]


class FileForm(StrEnum):
    """The forms of a report's file; each is the ending of its name."""

    CSV = "csv"
    XLSX = "xlsx"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportFile:
    """A report's file, to be read from where it stands and closed. `following`: more lines."""

    file: IO[bytes]
    size: int
    name: str
    media_type: str
    basis: Basis
    rows: int
    following: str | None

    @property
    def headers(self) -> dict[str, str]:
        """Say beside the file what it stands on, and whether it is whole."""
        basis = self.basis
        return {
            "Content-Disposition": f'attachment; filename="{self.name}"',
            "Content-Length": str(self.size),
            "Noticebus-Report-As-Of": write_instant(basis.as_of),
            "Noticebus-Report-Index": str(basis.index),
            "Noticebus-Report-Leaf-Hash": basis.leaf_hash,
            "Noticebus-Report-Filter": basis.filter_words,
            "Noticebus-Report-Asked-By": quote(basis.asked_by),
            "Noticebus-Report-Rows": str(self.rows),
            "Noticebus-Report-More": "no" if self.following is None else "yes",
        }

    def chunks(self) -> Iterator[bytes]:
        """Give the file bit by bit, then close it: for a thread, never the event loop's."""
        with self.file as file:
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


class Writer(Protocol):
    """Writes one form of file. It is called from one thread at a time, never the event loop's."""

    media_type: str
    rows: int

    def add(self, batch: Batch) -> None:
        """Write the rows of a batch."""
        ...

    def finish(self, following: str | None) -> None:
        """Write what comes last; `following` is the cursor of lines that are not in the file."""
        ...

    def give_up(self) -> None:
        """Close what it has open beside the file, which will not be finished."""
        ...


async def _stays() -> bool:
    return False


async def _look(has_left: HasLeft) -> None:
    """Stop where nobody waits for the file any more: a dropped click must not hold a place."""
    if await has_left():
        raise RefusedError("Whoever asked for this file has gone. It was not written.")


async def export_report(  # noqa: PLR0913 - each says one thing of the file
    desk: Desk,
    principal: Principal,
    *,
    asked: Asked,
    form: FileForm,
    lines_max: int = LINES_MAX,
    marked: bool = False,
    has_left: HasLeft = _stays,
) -> ReportFile:
    """Write the report as `principal` may see it to a file, and enter in the ledger that it was.

    `marked`: a CSV begins with the mark by which spreadsheets know UTF-8. `has_left` is asked
    before each page; once whoever asked has gone, RefusedError, and no file was given out.
    UnavailableError where too many files are being written.
    """
    page = PAGE_LINES if asked.as_of is None else PAST_LINES
    asked = replace(asked, limit=min(page, lines_max))
    wanted = reports.wanted_for(desk, principal, asked, now=desk.world.now())
    await _look(has_left)  # a request's body comes before the news that its sender has gone
    async with desk.workshop.bench() as bench:
        file: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - handed on
            MEMORY_BYTES_MAX, dir=bench.folder
        )
        out: Writer | None = None
        try:
            async with desk.database.read() as conn:
                export = _Export(
                    desk, principal, conn=conn, wanted=wanted, bench=bench, has_left=has_left
                )
                first = await export.begin()
                out = await bench.run(
                    _opened, form, file, export.basis, first, marked, bench.folder
                )
                following = await export.write(out, lines_max=lines_max)
            await bench.run(out.finish, following)
            await reports.enter(desk, principal, first.report, output=form, rows=out.rows)
            size = await bench.run(_rewound, file)
        except BaseException:
            if out is not None:
                bench.leave(out.give_up)
            bench.leave(file.close)
            raise
    return ReportFile(
        file=file,
        size=size,
        name=export.basis.file_name(form),
        media_type=out.media_type,
        basis=export.basis,
        rows=out.rows,
        following=following,
    )


class _Export:
    """One file in the making: `begin`, then `write`."""

    basis: Basis
    _first: ReportRead
    _lines: list[Line]
    _more: bool

    def __init__(
        self,
        desk: Desk,
        principal: Principal,
        *,
        conn: AsyncConnection,
        wanted: Wanted,
        bench: Bench,
        has_left: HasLeft,
    ) -> None:
        self._bench = bench
        self._has_left = has_left
        self._desk = desk
        self._principal = principal
        self._conn = conn
        self._wanted = wanted

    async def begin(self) -> ReportRead:
        """Read the first page with everything beside its lines."""
        wanted, desk = self._wanted, self._desk
        await _look(self._has_left)
        found = await reports.basis_of(self._conn, wanted)
        first = await reports.read_basis(
            self._conn, desk, self._principal, wanted=wanted, basis=found
        )
        self._first, self._lines, self._more = first, found.lines, found.more
        self.basis = Basis(
            as_of=first.report.as_of,
            index=found.index,
            leaf_hash=await report_details.leaf_hash_at(self._conn, found.index),
            filter=first.report.filter,
            asked_by=first.asked_by,
            made_at=desk.world.now(),
            base_url=desk.base_url.rstrip("/"),
        )
        return first

    async def write(self, out: Writer, *, lines_max: int) -> str | None:
        """Write page after page, each in a constant number of statements.

        Give the cursor of the lines that are not in the file.
        """
        count = 0
        while True:
            count += len(self._lines)
            is_last = not self._more or count >= lines_max
            batch = await self._batch(is_last=is_last, is_first=count == len(self._lines))
            await self._bench.run(out.add, batch)
            if is_last:
                return reports.next_of(self._wanted, self._lines, more=self._more)
            await _look(self._has_left)
            await self._read_on(limit=min(self._wanted.limit, lines_max - count))

    async def _read_on(self, *, limit: int) -> None:
        after = rows.place_of(self._lines[-1], now=self._wanted.ranked_at)
        wanted = replace(self._wanted, after=after, limit=limit)
        if wanted.is_past:
            found = await past(self._conn, wanted)
            self._lines, self._more = found.lines, found.more
            return
        lines = await rows.open_lines(
            self._conn,
            wanted.selection,
            overdue=wanted.overdue,
            age=wanted.age,
            now=wanted.ranked_at,
            after=after,
            limit=limit + 1,
        )
        self._lines, self._more = lines[:limit], len(lines) > limit

    async def _batch(self, *, is_first: bool, is_last: bool) -> Batch:
        lines, report = self._lines, self._first.report
        if is_first:
            items, zones = report.items, self._first.zones
        else:
            page = await page_of(
                self._conn, self._desk, self._principal, wanted=self._wanted, lines=lines
            )
            items = await self._bench.run(items_of, lines, page)
            zones = {one.id: one.zone for one in page.who.agencies.values()}
        return Batch(
            items=items,
            debts=report.owed_by_posters if is_first and self._first.is_first else (),
            zones=zones,
            details=await self._details(lines),
            is_cut=is_last and self._more,
        )

    async def _details(self, lines: list[Line]) -> dict[str, Detail]:
        conn, wanted = self._conn, self._wanted
        notices = await report_details.facts_of_notices(
            conn, {one.round_notice_id for one in lines}
        )
        answers = await report_details.last_answers(conn, {one.id for one in lines}, by=wanted.at)
        agency_ids = set() if wanted.is_past else {one.agency_id for one in lines}
        endpoints = await report_details.endpoint_states(conn, agency_ids)
        return await self._bench.run(_details_of, lines, notices, answers, endpoints)


def _details_of(
    lines: list[Line],
    notices: Mapping[NoticeId, NoticeFacts],
    answers: Mapping[ObligationId, LastAnswer],
    endpoints: Mapping[AgencyId, EndpointState],
) -> dict[str, Detail]:
    return {
        line.id: Detail(
            sent_at=line.round_started_at,
            policy=f"{line.policy['id']} v{line.policy['version']}",
            reachable=line.reachable,
            notice=notices.get(line.round_notice_id),
            answer=answers.get(line.id),
            endpoint=endpoints.get(line.agency_id),
        )
        for line in lines
    }


def _opened(
    form: FileForm,
    file: IO[bytes],
    basis: Basis,
    first: ReportRead,
    marked: bool,  # noqa: FBT001 - passed on to a thread
    folder: str,
) -> Writer:
    match form:
        case FileForm.CSV:
            return CsvFile(file, basis, marked=marked)
        case FileForm.XLSX:
            return XlsxFile(file, basis, folder=folder)
        case FileForm.JSON:
            return JsonFile(file, first.report)
        case _:
            assert_never(form)


def _rewound(file: IO[bytes]) -> int:
    """Give the file's size, and go to its beginning."""
    size = file.seek(0, 2)
    file.seek(0)
    return size
