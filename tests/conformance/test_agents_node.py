"""@openai/agents-realtime on Node, as it is, against the running server, and its parser against recorded talks."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.conformance import microphone, node_client, script
from tests.conformance.microphone import speech
from tests.conformance.telling import measured
from tests.spoken import plain

CLIENT = "@openai/agents-realtime (Node)"

GOLDEN = sorted((Path(__file__).parents[1] / "golden" / "realtime").glob("*.json"))

UNKNOWN_TO_IT = ("input_audio_buffer.timeout_triggered",)
"""Events of the protocol that this client has no schema for."""

INSTALLING = pytest.mark.timeout(int(node_client.INSTALL_S + node_client.RUN_S))
"""Whichever test is the first installs the client, once per machine."""


@pytest.fixture
def clips(tmp_path: Path) -> dict[str, str]:
    """What is said, as files of PCM."""
    paths = {"name": microphone.NAME, "second": microphone.SECOND, "lamp": microphone.LAMP}
    for name, clip in paths.items():
        (tmp_path / name).write_bytes(speech(clip))
    return {name: str(tmp_path / name) for name in paths}


def talk(url: str, scenario: str, clips: dict[str, str]) -> Any:
    tool = {"name": script.TOOL, "output": script.TOOL_OUTPUT}
    address = url.replace("http", "ws", 1) + "/v1/realtime?model=voice-agent"
    report = node_client.run("talk.mjs", json.dumps({"url": address, "scenario": scenario, "clips": clips, "tool": tool}))
    assert (report["errors"], report["refused"]) == ([], [])
    for what, ms in report["first_audio_ms"].items():
        measured(CLIENT, what, ms / 1000)
    return report


@INSTALLING
@pytest.mark.engine
def test_voice_and_text(embedded: str, clips: dict[str, str]) -> None:
    report = talk(embedded, "voice", clips)
    roles, texts = zip(*report["history"], strict=True)
    assert roles == ("user", "assistant", "user", "assistant")
    assert plain(texts[0]) == "my name is jennifer smith"
    assert texts[2] == "And what is your name?"
    assert all(texts)
    assert len(report["audio_ms"]) == 2
    assert min(report["audio_ms"].values()) > 200
    assert report["interrupted"] == []


@INSTALLING
@pytest.mark.engine
def test_barge_in_and_tool(scripted: str, clips: dict[str, str]) -> None:
    report = talk(scripted, "tool", clips)
    assert report["interrupted"][:1] == [report["story"]]
    [cut] = report["truncated"]
    assert cut["item"] == report["story"]
    assert 0 < cut["audio_end_ms"] < 5000
    assert report["tool_runs"] == [script.TOOL_ARGUMENTS]
    script.check_history([tuple(turn) for turn in report["history"]])


@INSTALLING
def test_it_takes_every_event_of_recorded_talks() -> None:
    assert GOLDEN
    results = node_client.run("replay.mjs", *map(str, GOLDEN))
    refused = {Path(file).stem: why for file, result in results.items() if (why := _unexpected(result["refused"]))}
    assert refused == {}
    assert all(result["taken"] == result["events"] for result in results.values())


def _unexpected(refused: list[str]) -> list[str]:
    return [why for why in refused if not any(name in why for name in UNKNOWN_TO_IT)]
