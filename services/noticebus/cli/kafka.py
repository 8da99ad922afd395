"""`noticebus kafka init`: make the topics on Apache Kafka."""

import asyncio

import typer

from noticebus.cli.output import CommandError, Format, FormatOption, show_rows
from noticebus.cli.session import session_of

app = typer.Typer(help="Apache Kafka, where the bus uses it.", no_args_is_help=True)


@app.callback()
def begin() -> None:
    """Apache Kafka, where the bus uses it."""


@app.command("init")
def init(context: typer.Context, form: FormatOption = Format.TABLE) -> None:
    """Make the topics that are missing and compare the others; nothing that exists is changed."""
    from noticebus.bus.topics import TopicState, init_topics  # noqa: PLC0415 - slow to load
    from noticebus.ports import kafka_options  # noqa: PLC0415 - loads the whole bus

    settings = session_of(context).load().settings
    if settings.kafka_bootstrap is None:
        raise CommandError(
            "No broker is set, so the bus works within its own process.",
            remedy="Set kafka_bootstrap (NOTICEBUS_KAFKA_BOOTSTRAP) to host:port of a broker.",
        )
    outcomes = asyncio.run(init_topics(kafka_options(settings)))
    rows = [{"topic": one.topic, "state": one.state, "detail": one.detail} for one in outcomes]
    show_rows(rows, columns=("topic", "state", "detail"), form=form)
    if wrong := [one for one in outcomes if one.state in {TopicState.MISMATCH, TopicState.REFUSED}]:
        raise CommandError(
            f"{len(wrong)} of {len(outcomes)} topics are not as the settings say.",
            remedy="See `detail` of each; correct the topic or the settings, then repeat.",
        )
