"""`/api/sessions`: who talks, how it goes, what was said, and the end of it."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, TypeAlias, cast

from fastapi import APIRouter, Depends, HTTPException, Path, Query, Response
from fastapi.requests import HTTPConnection
from fastapi.responses import StreamingResponse

from voice_agent.api.deps import CallerDep, SessionsDep, SettingsDep
from voice_agent.api.openapi import ErrorAnswer
from voice_agent.api.own.access import check_ending, check_reading, may_read
from voice_agent.api.own.feed import Feed
from voice_agent.api.own.schemas import SESSION_ID, SessionDetail, SessionEnded, SessionList, TranscriptItem
from voice_agent.api.own.watching import SessionBook, Watch
from voice_agent.conversation.transcript import Item
from voice_agent.errors import InputError

router = APIRouter(tags=["sessions"])


def _book(connection: HTTPConnection) -> SessionBook:
    return cast(SessionBook, connection.app.state.book)


BookDep = Annotated[SessionBook, Depends(_book)]

SessionId = Annotated[str, Path(max_length=100, description="As `session.created` tells it.", examples=[SESSION_ID])]

Responses: TypeAlias = dict[int | str, dict[str, Any]]

OTHER_METHODS = ("HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE")

NOT_THERE: Responses = {404: {"model": ErrorAnswer, "description": "There is no such session, or it is forgotten."}}
NOT_YOURS: Responses = {403: {"model": ErrorAnswer, "description": "Another key holds the session."}}


@router.get("/api/sessions", summary="Sessions that run, and the last that are over")
async def list_sessions(book: BookDep, sessions: SessionsDep) -> SessionList:
    """The newest first. The last 50 finished ones are remembered until the server stops, without what was said."""
    return SessionList(sessions=[watch.summary() for watch in book], running=len(sessions), limit=sessions.limit)


@router.get("/api/sessions/{session_id}", summary="One session: transcript and timings", responses=NOT_THERE)
async def read_session(session_id: SessionId, book: BookDep, caller: CallerDep, settings: SettingsDep) -> SessionDetail:
    """The transcript is for the key that holds the session and for whoever runs the server; timings are for every key."""
    watch = _known(book, session_id)
    session = watch.live.session
    readable = session is not None and may_read(caller, watch.live.caller, settings)
    return SessionDetail(
        **watch.summary().model_dump(),
        transcript=[_told(item) for item in session.machine.transcript] if readable and session is not None else None,
        timings=list(watch.timings),
    )


@router.delete("/api/sessions/{session_id}", summary="End a session", responses={**NOT_THERE, **NOT_YOURS})
async def end_session(session_id: SessionId, book: BookDep, sessions: SessionsDep, caller: CallerDep) -> SessionEnded:
    """Its connection is closed with code 1000. Answers when it is gone. A session that is over already is fine."""
    watch = _known(book, session_id)
    check_ending(caller, watch.live.caller)
    await sessions.end(session_id)
    return SessionEnded(id=session_id)


@router.api_route("/api/sessions/{session_id}", methods=list(OTHER_METHODS), include_in_schema=False)
async def not_this_way() -> None:
    """The router by itself would name only one of the two methods."""
    raise HTTPException(405, headers={"Allow": "DELETE, GET"})


@router.get(
    "/api/sessions/{session_id}/events",
    summary="Follow a session",
    response_class=StreamingResponse,
    responses={
        200: {
            "description": "Server-sent events until the session is over.",
            "content": {
                "text/event-stream": {
                    "schema": {"type": "string"},
                    "example": 'id: 7\nevent: event\ndata: {"now":3.2,"type":"SpeechStarted","speaker":"speaker1"}\n\n',
                }
            },
        },
        204: {"description": "The session is over; nothing more will come."},
        503: {"model": ErrorAnswer, "description": "Too many follow it."},
        **NOT_THERE,
        **NOT_YOURS,
    },
)
async def follow_session(
    session_id: SessionId,
    book: BookDep,
    caller: CallerDep,
    settings: SettingsDep,
    content: Annotated[bool, Query(description="With what is said. For the key that holds the session.")] = False,
) -> Response:
    """What happens in the conversation, as it happens: `event` and `effect` of the core, `reply` with the timing of each
    finished reply, `end` at the end. Texts are opaque tokens unless `content=true`. Who reads too slowly loses the oldest and is
    told how many in a `dropped` event. A comment comes every 15 s."""
    watch = _known(book, session_id)
    if content:
        check_reading(caller, watch.live.caller, settings)
    if watch.seconds is not None:
        return Response(status_code=204)  # a browser's EventSource does not come again
    return EventStream(watch.feed, content=content)


class EventStream(StreamingResponse):
    """Listens from the moment it is made until the client goes. Raises `OverloadedError`."""

    media_type = "text/event-stream"

    def __init__(self, feed: Feed, *, content: bool) -> None:
        self._feed = feed
        self._content = content
        feed.check_room()
        super().__init__(self._frames(), headers={"X-Accel-Buffering": "no"})  # which nginx would otherwise do

    async def _frames(self) -> AsyncIterator[str]:
        with self._feed.listen(content=self._content) as listener:
            async for frame in listener.frames():
                yield frame


def _known(book: SessionBook, session_id: str) -> Watch:
    watch = book.get(session_id)
    if watch is None:
        raise InputError(f"There is no session {session_id[:100]!r}", code="not_found")
    return watch


def _told(item: Item) -> TranscriptItem:
    return TranscriptItem(
        id=item.item_id,
        role=item.role,
        text=item.text,
        at=item.at,
        confidence=item.confidence,
        language=item.language,
        by_text=item.by_text,
        interrupted=item.interrupted,
        written=item.written,
        call_id=item.call_id,
        name=item.name,
    )
