import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from voice_agent.errors import SettingsError
from voice_agent.models import load_catalogue
from voice_agent.settings import LoadedSettings, Settings, load_settings
from voice_agent.settings.sources import NAMES, PATHS
from voice_agent.settings.tree import LOCAL_MODELS, WHISPER_MODELS

ROOT = Path(__file__).parents[2]
KEY = "gsk_never_to_be_seen"


def load(flags: dict[str, object] | None = None, dotenv: Path | None = None, **env: str) -> LoadedSettings:
    return load_settings(flags, env=env, dotenv=dotenv)


def refusal(**env: str) -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings(env=env, dotenv=None)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def dotenv(tmp_path: Path) -> Path:
    return tmp_path / ".env"


class TestValues:
    def test_defaults(self) -> None:
        loaded = load()
        assert loaded.values == Settings()
        assert loaded.values.audio.chunk_samples == 4096
        assert loaded.values.stt.engines == ("faster-whisper", "moonshine")
        assert {loaded.origin(path) for path in PATHS} == {"default"}

    def test_a_name_splits_at_its_first_underscore(self) -> None:
        values = load(AUDIO_CHUNK_SAMPLES="1024", LLM_FIRST_TOKEN_TIMEOUT_S="2.5", MODELS_DIR="/srv/models").values
        assert values.audio.chunk_samples == 1024
        assert values.llm.first_token_timeout_s == 2.5
        assert values.models.dir == Path("/srv/models")

    def test_lists_are_comma_separated_ordered_and_without_repetition(self) -> None:
        assert load(STT_ENGINES=" moonshine , faster-whisper, moonshine,").values.stt.engines == ("moonshine", "faster-whisper")

    def test_names_of_models_are_those_of_the_catalogue(self) -> None:
        catalogue = load_catalogue()
        whisper = [model.name for model in catalogue.of_kind("stt") if model.name.startswith("whisper-")]
        assert tuple(whisper) == tuple(f"whisper-{name}" for name in WHISPER_MODELS)
        assert tuple(model.name for model in catalogue.of_kind("llm")) == LOCAL_MODELS

    def test_models_of_ones_own(self) -> None:
        values = load(STT_MODEL="./base", LOCAL_MODEL="~/own.gguf").values
        assert values.stt.folder == Path("base")
        assert values.local.file == Path("~/own.gguf").expanduser()
        assert (Settings().stt.folder, Settings().local.file) == (None, None)

    def test_turn_detection_can_be_off(self) -> None:
        assert load(TURN_ENGINES="off").values.turn.engines == ()

    @pytest.mark.parametrize(("text", "value"), [("on", True), ("off", False), ("TRUE", True), ("0", False), ("no", False)])
    def test_switches(self, text: str, value: bool) -> None:
        assert load(TURN_BARGE_IN=text).values.turn.barge_in is value

    def test_an_empty_variable_counts_as_not_set(self) -> None:
        loaded = load(STT_MODEL="", GROQ_API_KEY="")
        assert loaded.values.stt.model == "base"
        assert loaded.values.groq.api_key is None
        assert loaded.origin("stt.model") == "default"

    def test_language_auto_means_detect_it(self) -> None:
        assert load(STT_LANGUAGE="auto").values.stt.language is None
        assert load(STT_LANGUAGE="PT-br").values.stt.language == "pt-br"

    def test_home_is_expanded(self) -> None:
        directory = load(MODELS_DIR="~/models").values.models.dir
        assert directory is not None
        assert "~" not in str(directory)

    def test_modes_give_holds_and_numbers_win(self) -> None:
        patient, eager = load(TURN_MODE="patient").values.turn, load(TURN_MODE="Eager").values.turn
        assert patient.holds_s > eager.holds_s
        assert load(TURN_MODE="eager", TURN_MIN_HOLD_S="0.3").values.turn.holds_s == (0.3, eager.holds_s[1])

    def test_the_tree_is_frozen(self) -> None:
        with pytest.raises(ValidationError):
            setattr(load().values.stt, "model", "small")  # noqa: B010 - a plain assignment is refused by mypy already


class TestOrigins:
    def test_flags_win_over_the_environment_and_that_over_dotenv(self, dotenv: Path) -> None:
        dotenv.write_text("STT_MODEL=tiny\nTTS_SPEED=1.5\nLLM_MAX_TOKENS=100\n")
        loaded = load({"stt.model": "large-v3"}, dotenv, STT_MODEL="small", TTS_SPEED="0.9")
        assert (loaded.values.stt.model, loaded.origin("stt.model")) == ("large-v3", "flag")
        assert (loaded.values.tts.speed, loaded.origin("tts.speed")) == (0.9, "environment TTS_SPEED")
        assert (loaded.values.llm.max_tokens, loaded.origin("llm.max_tokens")) == (100, ".env line 3")

    def test_an_empty_flag_puts_the_default_back(self) -> None:
        loaded = load({"stt.model": ""}, STT_MODEL="small")
        assert (loaded.values.stt.model, loaded.origin("stt.model")) == ("base", "flag")

    def test_only_settings_have_an_origin(self) -> None:
        with pytest.raises(KeyError):
            load().origin("stt.modle")


class TestDotenv:
    def test_comments_quotes_exports_and_other_software(self, dotenv: Path) -> None:
        dotenv.write_text("\ufeff# ours\n\nexport STT_MODEL='small' # a size\n\n\nDATABASE_URL=x\nTTS_VOICE=af_heart\n", "utf-8")
        loaded = load(dotenv=dotenv)
        assert (loaded.values.stt.model, loaded.origin("stt.model")) == ("small", ".env line 3")
        assert (loaded.values.tts.voice, loaded.origin("tts.voice")) == ("af_heart", ".env line 7")

    def test_none_is_fine(self, dotenv: Path) -> None:
        assert load(dotenv=dotenv).values == Settings()

    def test_the_last_line_for_a_name_counts(self, dotenv: Path) -> None:
        dotenv.write_text("STT_MODEL=tiny\nSTT_MODEL=small\n")
        assert load(dotenv=dotenv).origin("stt.model") == ".env line 2"

    @pytest.mark.parametrize(
        ("content", "told"),
        [
            (b"\xff\xfe\x00", "not UTF-8"),
            (b"STT_MODEL=\0", "not a text file"),
            (b"# fine\nSTT MODEL=base\n", "line 2 is not a setting"),
            (b"\n\nSTT_MODEL\n", "line 3 is not a setting"),
            (b"STT_MODLE=base\n", "STT_MODLE (.env line 1). STT_MODEL may be what was meant"),
            (b"VAD_XYZZY=1\n", "`voice-agent settings` lists them all"),
        ],
    )
    def test_what_cannot_be_used_is_refused(self, dotenv: Path, content: bytes, told: str) -> None:
        dotenv.write_bytes(content)
        with pytest.raises(SettingsError, match=re.escape(told)):
            load(dotenv=dotenv)

    def test_a_folder_in_its_place_is_refused(self, dotenv: Path) -> None:
        dotenv.mkdir()
        with pytest.raises(SettingsError, match="cannot be read"):
            load(dotenv=dotenv)

    def test_the_example_names_every_setting_with_its_default(self, dotenv: Path) -> None:
        example = (ROOT / ".env.example").read_text()
        assigned = dict(re.findall(r"^#([A-Z_]+)=(.*)$", example, re.MULTILINE))
        assert assigned == {row.environment: row.value for row in load().rows()}
        dotenv.write_text(re.sub(r"^#(?=[A-Z_]+=)", "", example, flags=re.MULTILINE))
        assert load(dotenv=dotenv).values == Settings()


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "value", "allowed"),
        [
            ("STT_ENGINES", "wisper", "faster-whisper, moonshine"),
            ("LLM_ENGINES", ",", "groq, openai-compatible, local"),
            ("TURN_ENGINES", "lidar", "smart-turn or off"),
            ("AUDIO_CHUNK_SAMPLES", "511", "a whole number from 512 to 65536"),
            ("AUDIO_CHUNK_SAMPLES", "4096.5", "a whole number"),
            ("TTS_SPEED", "nan", "from 0.5 to 2"),
            ("LLM_TEMPERATURE", "1e999", "from 0 to 2"),
            ("STT_DEVICE", "tpu", "one of auto, cpu, cuda"),
            ("STT_MODEL", "huge", "tiny, base, small, medium, large-v3, large-v3-turbo or the path of a folder"),
            ("LOCAL_MODEL", "moonshine-tiny-en", "smollm2-135m, qwen2.5-0.5b-instruct, qwen2.5-1.5b-instruct or the path"),
            ("TURN_BARGE_IN", "maybe", "on or off"),
            ("OPENAI_BASE_URL", "localhost:8000", "http:// or https://"),
            ("STT_LANGUAGE", "english", "a language code"),
            ("MODELS_DIR", "/tmp/\0", "a path"),
        ],
    )
    def test_name_value_and_what_is_allowed(self, name: str, value: str, allowed: str) -> None:
        told = refusal(**{name: value})
        assert told.startswith(f"{name}={value!r}")
        assert allowed in told

    @pytest.mark.parametrize(
        ("env", "told"),
        [
            ({"VAD_RELEASE": "0.6"}, "VAD_RELEASE (0.6) must not lie above VAD_THRESHOLD (0.5)"),
            ({"TURN_MIN_HOLD_S": "5"}, "TURN_MIN_HOLD_S (5) must not lie above TURN_MAX_HOLD_S"),
            ({"STT_DEVICE": "cpu", "STT_COMPUTE_TYPE": "float16"}, "needs a GPU"),
            ({"KOKORO_MODEL": "/k.onnx"}, "set both or neither"),
        ],
    )
    def test_what_does_not_go_together(self, env: dict[str, str], told: str) -> None:
        assert told in refusal(**env)

    def test_the_source_is_told(self, dotenv: Path) -> None:
        dotenv.write_text("\nTTS_SPEED=fast\n")
        with pytest.raises(SettingsError, match=r"TTS_SPEED='fast' \(\.env line 2\)"):
            load(dotenv=dotenv)

    def test_a_long_value_is_cut(self) -> None:
        assert len(refusal(LOG_LEVEL="x" * 1_000_000)) < 200

    def test_an_unknown_flag_gets_the_closest_name(self) -> None:
        with pytest.raises(SettingsError, match=r"stt\.modle \(flag\)\. stt\.model may be"):
            load({"stt.modle": "x"})

    def test_strangers_in_the_environment_are_only_told(self) -> None:
        loaded = load(SST_MODEL="x", OPENAI_ORG_ID="y", PATH="/bin")
        assert loaded.unknown() == [
            "OPENAI_ORG_ID in the environment is not a setting.",
            "SST_MODEL in the environment is not a setting; STT_MODEL is.",
        ]

    @given(st.sampled_from(sorted(NAMES)), st.text(max_size=30))
    def test_any_text_for_any_setting_is_taken_or_refused_in_one_line(self, name: str, text: str) -> None:
        try:
            load_settings(env={name: text}, dotenv=None)
        except SettingsError as error:
            told = str(error)
        else:
            told = name
        assert name in told
        assert "\n" not in told


class TestSecrets:
    def test_they_are_never_shown(self) -> None:
        loaded = load(GROQ_API_KEY=KEY, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=f"http://me:{KEY}@localhost/v1")
        assert loaded.values.groq.api_key is not None
        assert loaded.values.groq.api_key.get_secret_value() == KEY
        rows = {row.environment: row.value for row in loaded.rows()}
        assert rows["GROQ_API_KEY"] == "set (hidden)"
        assert rows["OPENAI_BASE_URL"] == "http://…@localhost/v1"
        assert KEY not in repr(loaded) + str(loaded.values.groq) + json.dumps(rows)

    @pytest.mark.parametrize("value", [f"{KEY} x", f"{KEY}\nx", f"{KEY}é"])
    def test_an_unusable_one_is_refused_unseen(self, value: str) -> None:
        told = refusal(GROQ_API_KEY=value)
        assert "GROQ_API_KEY" in told
        assert KEY not in told

    def test_an_address_with_a_password_is_refused_without_it(self) -> None:
        assert KEY not in refusal(OPENAI_BASE_URL=f"ftp://me:{KEY}@localhost")

    def test_the_refusal_has_no_cause_that_would_hold_it(self) -> None:
        with pytest.raises(SettingsError) as caught:
            load(GROQ_API_KEY=f"{KEY} x")
        assert caught.value.__cause__ is None
        assert caught.value.__suppress_context__

    def test_blanks_around_one_are_cut_off(self) -> None:
        key = load(GROQ_API_KEY=f" {KEY}\n").values.groq.api_key
        assert key is not None
        assert key.get_secret_value() == KEY


def test_every_setting_says_what_it_is() -> None:
    rows = load().rows()
    assert len(rows) == len(PATHS) == len(NAMES)
    for row in rows:
        assert row.description, row.path
        assert row.allowed, row.path


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(os.environ, "STT_MODEL", "small")
    assert load_settings().values.stt.model == "small"
