"""A language model whose answers are known, for clients' tests: a real HTTP server that replies to what was said last.

`python -m tests.conformance.script` serves it and prints its address.
"""

import asyncio
import itertools
import json
from dataclasses import replace
from typing import Any

from tests.spoken import plain
from voice_agent.engines.llm.fake_server import FakeChatServer, Received, Reply, chunk, speaks, usage

GREETING = "Nice to meet you, Jennifer."
ROOM = "The second one is in the blue room."
LAMP = "The lamp in the living room is on now."
OTHER = "I see."

STORY = " ".join(
    f"On day {day} the traveller walked through another valley and met a friend who told him about the sea."
    for day in ("one", "two", "three", "four", "five", "six", "seven", "eight")
)
"""About 40 s of speech: long enough to be interrupted."""

TOOL = "switch_lamp"
TOOL_ARGUMENTS = {"room": "living room", "on": True}
TOOL_OUTPUT = "switched on"

_calls = itertools.count(1)


def reply_to(request: Received) -> Reply:
    """By the last message, in words that the recogniser is sure to hear."""
    last = request.json["messages"][-1]
    text = _text(last).lower()
    if last["role"] == "tool":
        return speaks(LAMP if text.strip('"') == TOOL_OUTPUT else f"The tool said {text}")  # some clients send it as JSON
    if "living" in text and request.json.get("tools"):
        return _calls_tool()
    if "without end" in text:  # its generation is still going on when it is interrupted
        return replace(speaks(STORY), events=speaks(STORY).events[:-3], then="hang")
    for word, answer in (("name", GREETING), ("story", STORY), ("second", ROOM)):
        if word in text:
            return speaks(answer)
    return speaks(OTHER)


def _text(message: dict[str, Any]) -> str:
    content = message["content"]
    return content if isinstance(content, str) else " ".join(part["text"] for part in content)


def _calls_tool() -> Reply:
    function = {"name": TOOL, "arguments": json.dumps(TOOL_ARGUMENTS)}
    call = {"index": 0, "id": f"call_{next(_calls)}", "type": "function", "function": function}
    events = (
        chunk({"role": "assistant", "content": None, "tool_calls": [call]}),
        chunk({}, finish="tool_calls"),
        usage(20, 10),
        "[DONE]",
    )
    return Reply(events=events)


def check_history(turns: list[tuple[str, str]], *, cuts: bool = True) -> None:
    """What a client must hold after the talk in which the story is interrupted and the lamp is switched on: role, or name of
    the tool, and text. Not all clients take over (`cuts`) what was heard of the story."""
    roles, texts = zip(*turns, strict=True)
    assert roles == ("user", "assistant", "user", "assistant", "user", TOOL, "assistant")
    question, story, where, room, lamp, output, done = texts
    assert plain(question) == "tell me a story"
    assert story
    assert plain(STORY).startswith(plain(story))
    assert len(story) < len(STORY) / 4 or not cuts, "only what was heard stays"
    assert plain("is the second one") in plain(where)  # it may hear a word before it: the first one is spoken softly
    assert "turn on the living room" in plain(lamp)  # the recogniser is not sure that it is no lamb
    assert (plain(room), output, plain(done)) == (plain(ROOM), TOOL_OUTPUT, plain(LAMP))


async def _serve() -> None:
    async with FakeChatServer(reply_to) as server:
        print(f"Listening on {server.url}", flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve())
