"""The whole report as one JSON document, as the interface gives it, written line by line."""

import json
from typing import IO

from noticebus.casework.report_rows import Batch
from noticebus.contracts.report import UnacknowledgedReport


class JsonFile:
    """Writes to `file` what `GET /v1/reports/unacknowledged` answers, with the lines as they come.

    `first` is the report's first page: its lines are left out, since they come with the batches.
    """

    media_type = "application/json"

    def __init__(self, file: IO[bytes], first: UnacknowledgedReport) -> None:
        self._file = file
        self.rows = 0
        parts = json.loads(first.model_copy(update={"items": ()}).model_dump_json())
        del parts["items"], parts["next"]
        self._file.write(f'{json.dumps(parts, ensure_ascii=False)[:-1]}, "items": ['.encode())

    def add(self, batch: Batch) -> None:
        """Write the lines of a batch."""
        for item in batch.items:
            comma = ",\n" if self.rows else "\n"
            self._file.write(f"{comma}{item.model_dump_json()}".encode())
            self.rows += 1

    def finish(self, following: str | None) -> None:
        """Say where more lines are, if there are any."""
        self._file.write(f'\n], "next": {json.dumps(following)}}}\n'.encode())

    def give_up(self) -> None:
        """Nothing is open beside the file."""
