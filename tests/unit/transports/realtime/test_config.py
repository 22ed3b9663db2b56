"""How a session's configuration is changed by its client, and echoed."""

from typing import Any

import pytest

from voice_agent.transports.realtime.config import ConfigError, RealtimeConfig, SessionConfig, echoed, first_config, updated


def start(**turn_detection: Any) -> SessionConfig:
    detection = {"type": "server_vad", **turn_detection}
    return first_config({"type": "realtime", "audio": {"input": {"turn_detection": detection}}})


def listening(config: SessionConfig) -> dict[str, Any]:
    return dict(echoed(config, "sess_1")["audio"]["input"])


def test_the_defaults_are_echoed() -> None:
    assert echoed(RealtimeConfig(type="realtime"), "sess_1") == {
        "type": "realtime",
        "object": "realtime.session",
        "id": "sess_1",
        "model": "voice-agent",
        "output_modalities": ["audio"],
        "instructions": "",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "noise_reduction": None,
                "transcription": None,
                "turn_detection": {
                    "type": "semantic_vad",
                    "eagerness": "auto",
                    "create_response": True,
                    "interrupt_response": True,
                },
            },
            "output": {"format": {"type": "audio/pcm", "rate": 24000}, "voice": "alloy", "speed": 1.0},
        },
        "tools": [],
        "tool_choice": "auto",
        "max_output_tokens": "inf",
        "truncation": "auto",
        "tracing": None,
    }


def test_an_update_is_merged_deep() -> None:
    config = updated(start(threshold=0.7), {"audio": {"input": {"turn_detection": {"silence_duration_ms": 300}}}})
    assert listening(config)["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.7,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 300,
        "create_response": True,
        "interrupt_response": True,
    }


def test_another_type_replaces() -> None:
    config = updated(start(create_response=False), {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}})
    assert listening(config)["turn_detection"]["create_response"] is True
    assert "threshold" not in listening(config)["turn_detection"]


def test_null_clears() -> None:
    config = updated(start(), {"audio": {"input": {"turn_detection": None, "transcription": {"model": "x"}}}})
    assert listening(config)["turn_detection"] is None
    assert listening(updated(config, {"audio": {"input": {"transcription": None}}}))["transcription"] is None


def test_the_model_of_a_transcription_outlives_a_change_of_its_language() -> None:
    config = updated(start(), {"audio": {"input": {"transcription": {"model": "whisper-1"}}}})
    config = updated(config, {"audio": {"input": {"transcription": {"language": "de"}}}})
    assert listening(config)["transcription"] == {"model": "whisper-1", "language": "de"}


def test_only_what_is_set_is_echoed_of_a_transcription() -> None:
    config = updated(start(), {"audio": {"input": {"transcription": {"model": "m", "keywords": ["x"]}}}})
    assert listening(config)["transcription"] == {"model": "m"}


@pytest.mark.parametrize(
    ("update", "param"),
    [
        ({"audio": {"output": {"speed": 9}}}, "session.audio.output.speed"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "session.audio.input.format.rate"),
        ({"audio": {"input": {"turn_detection": {"threshold": 2}}}}, "session.audio.input.turn_detection.threshold"),
        ({"audio": {"input": {"turn_detection": {"type": "custom"}}}}, "session.audio.input.turn_detection"),
        ({"output_modalities": ["text", "audio"]}, "session.output_modalities"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"tools": [{"type": "function", "name": "no spaces"}]}, "session.tools.0.name"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session"),
        ({"type": "transcription"}, "session.type"),
        ({"instructions": 7}, "session.instructions"),
        ({"truncation": {"type": "retention_ratio"}}, "session.truncation.RetentionRatio.retention_ratio"),
        ({"tracing": {"metadata": {"x": "y" * 300_000}}}, "session"),
    ],
)
def test_what_is_wrong_is_named_and_changes_nothing(update: dict[str, Any], param: str) -> None:
    config = start()
    before = config.model_dump_json()
    with pytest.raises(ConfigError) as raised:
        updated(config, update)
    assert raised.value.param.startswith(param.split(".RetentionRatio")[0])
    assert config.model_dump_json() == before


def test_modalities_of_the_beta_protocol() -> None:
    for told, meant in ((["text", "audio"], ["audio"]), (["text"], ["text"])):
        assert echoed(updated(start(), {"modalities": told}), "s")["output_modalities"] == meant


def test_a_voice_by_its_id() -> None:
    assert echoed(updated(start(), {"audio": {"output": {"voice": {"id": "tone"}}}}), "s")["audio"]["output"]["voice"] == "tone"


def test_a_transcription_session() -> None:
    echo = echoed(first_config({"type": "transcription"}), "sess_1", expires_at=5)
    assert (echo["type"], echo["object"], echo["expires_at"]) == ("transcription", "realtime.transcription_session", 5)
    assert "output" not in echo["audio"]
    with pytest.raises(ConfigError):
        first_config({"type": "other"})
