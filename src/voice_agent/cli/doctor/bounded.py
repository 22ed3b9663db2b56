"""Probes that end: a time limit for each, and every failure as a finding."""

import asyncio
import os
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from voice_agent.cli.doctor.findings import Finding, Group, State
from voice_agent.errors import VoiceAgentError

T = TypeVar("T")

GRACE_S = 0.5
"""How long a probe that was told to end may take to do so; then it is left behind, and the process ends without it."""

TEXT_CHARACTERS = 200
"""Of what a library says, no more is repeated."""


class Hung(Exception):
    """The probe did not end in time. What it waits for may be a thread inside native code, which nobody can end."""

    def __init__(self, within_s: float) -> None:
        super().__init__(within_s)
        self.within_s = within_s


async def bounded(work: Coroutine[Any, Any, T], within_s: float) -> T:
    """The result of `work`. Raises `Hung` after `within_s` seconds and what `work` raises."""
    task = asyncio.create_task(work)  # not in a task group: that would wait for it, however long it takes
    try:
        await asyncio.wait({task}, timeout=within_s)
        if not task.done():
            raise Hung(within_s)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE_S)
        if task.done() and not task.cancelled():
            task.exception()  # else asyncio reports a failure that nobody has asked for


async def checked(group: Group, name: str, probe: Callable[[], Awaitable[Finding]], within_s: float) -> Finding:
    """What `probe` finds, or how it failed. Never raises."""

    async def run() -> Finding:
        return await probe()

    try:
        return await bounded(run(), within_s)
    except Exception as error:  # noqa: BLE001 - the doctor's border: one broken part must not hide the state of the others
        return failure(group, name, error)


def failure(group: Group, name: str, error: Exception) -> Finding:
    why, remedy = _in_words(error)
    return Finding(
        group=group,
        name=name,
        state=State.FAILED,
        detail=why,
        why=why,
        remedy=remedy or _otherwise(group, name),
        facts={"code": error.code} if isinstance(error, VoiceAgentError) else {},
        hung=isinstance(error, Hung),
    )


def _in_words(error: Exception) -> tuple[str, str]:
    """Why, and the remedy where the error knows one."""
    match error:
        case VoiceAgentError():
            why = f"{error.what.rstrip('.')} ({error.why.rstrip('.')})" if error.why else error.what.rstrip(".")
            return _one_line(why), _one_line(error.remedy)
        case Hung():
            return f"no answer within {error.within_s:g} s", ""
        case ImportError() | OSError():  # a library or a file that is missing: their text says which
            return f"{type(error).__name__}: {_one_line(str(error))[:TEXT_CHARACTERS]}", ""
        case _:  # not the error's own text: it may hold a key
            frame = traceback.extract_tb(error.__traceback__)[-1]
            return f"internal error: {type(error).__name__} in {os.path.basename(frame.filename)}:{frame.lineno}", ""


def _otherwise(group: Group, name: str) -> str:
    """For a failure that names no remedy."""
    if group in ("stt", "turn", "llm", "tts"):
        return f"Run it again; if it stays so, leave {name} out of {group.upper()}_ENGINES"
    if group == "vad":
        return "Run it again; if it stays so, install the project again"
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())
