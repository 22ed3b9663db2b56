"""`bench conversation`: what is measured on a recording, on recordings whose answers are known."""

import asyncio
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from voice_agent.audio.pcm import Pcm16, Samples, to_int16
from voice_agent.cli import command_line
from voice_agent.cli.bench.clips import load_clips
from voice_agent.cli.bench.conversation import PARTS
from voice_agent.cli.bench.figures import distribution, percentile, share, total
from voice_agent.cli.bench.footprint import Readiness
from voice_agent.cli.bench.interruptions import Backchannel, BargeIn
from voice_agent.cli.bench.judging import backchannels, barge_ins, memory, transcripts, voice_to_voice, word_errors
from voice_agent.cli.bench.measure import (
    RATE,
    Answer,
    Disturbance,
    Span,
    answer,
    audible_spans,
    disturbance,
    speech_bounds,
    stop_delay,
)
from voice_agent.cli.bench.normalise import normalise
from voice_agent.cli.bench.report import commit_line, odd_turns, print_as_json, print_figures, turn_line
from voice_agent.cli.bench.stage import Commit, Witness
from voice_agent.cli.bench.tape import Tape
from voice_agent.cli.bench.turns import VoiceTurn
from voice_agent.conversation import effects as do
from voice_agent.conversation import events as on
from voice_agent.errors import AudioInputError, InputError

SAMPLE = 1.5 / RATE


def tone(seconds: float, *, dbfs: float = -20.0, hz: float = 1000.0) -> Samples:
    amplitude = 10.0 ** (dbfs / 20.0) * np.sqrt(2.0)
    wave = amplitude * np.sin(2.0 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)
    return np.asarray(wave, dtype=np.float32)


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * RATE), dtype=np.float32)


def agent(*parts: Samples) -> Pcm16:
    return to_int16(np.concatenate(parts))


def turn(
    *, gap_s: float | None = 0.6, cut_in_s: float | None = None, conversational: bool = True, heard: str = "Where is it?"
) -> VoiceTurn:
    commit = Commit(at_s=2.4, text=heard, hold_s=0.4, probability=0.97, final_s=2.2)
    return VoiceTurn(
        clip="aiewf_turn_021" if conversational else "jfk",
        conversational=conversational,
        transcript="Where is it?",
        heard=heard,
        speech=Span(0.5, 2.0),
        answer=Answer(gap_s=gap_s, cut_in_s=cut_in_s),
        transcript_s=0.2,
        commits=(commit,),
        waterfall_ms={"vad": 80.0},
        speculation_hit=True,
        engines={},
    )


# ---------------------------------------------------------------- the agent on the recording


class TestAudibleSpans:
    def test_to_the_sample(self) -> None:
        (span,) = audible_spans(agent(silence(0.5), tone(0.3), silence(0.5)))
        assert span.start_s == pytest.approx(0.5, abs=0.001)
        assert span.end_s == pytest.approx(0.8, abs=0.001)

    def test_padding_below_the_level_is_not_heard(self) -> None:
        (span,) = audible_spans(agent(tone(0.4, dbfs=-50.0), tone(0.3), silence(0.2)))
        assert span.start_s == pytest.approx(0.4, abs=0.001)

    def test_a_click_is_not_heard(self) -> None:
        click = silence(1.0)
        click[12_000] = 0.1
        assert audible_spans(agent(click)) == []

    def test_gaps_within_speech_are_joined(self) -> None:
        pcm = agent(tone(0.3), silence(0.3), tone(0.3), silence(0.6), tone(0.2))
        assert [round(span.end_s - span.start_s, 2) for span in audible_spans(pcm)] == [0.9, 0.2]
        assert len(audible_spans(pcm, join_s=0.1)) == 3

    @pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0])
    def test_silence(self, seconds: float) -> None:
        assert audible_spans(to_int16(silence(seconds))) == []


class TestAnswer:
    speech = Span(1.0, 3.0)

    def test_waits_for_the_end(self) -> None:
        assert answer([Span(3.5, 5.0)], self.speech) == Answer(gap_s=0.5, cut_in_s=None)

    def test_cuts_in_and_answers_afterwards(self) -> None:
        found = answer([Span(2.0, 2.3), Span(3.6, 5.0)], self.speech)
        assert found.gap_s == pytest.approx(0.6)
        assert found.cut_in_s == pytest.approx(1.0)

    def test_talks_over_the_end(self) -> None:
        found = answer([Span(2.5, 4.0), Span(5.0, 6.0)], self.speech)
        assert found.gap_s is None
        assert found.cut_in_s == pytest.approx(0.5)

    def test_says_nothing(self) -> None:
        assert answer([], self.speech) == Answer(gap_s=None, cut_in_s=None)

    def test_what_it_said_before_is_no_cut_in(self) -> None:
        assert answer([Span(0.0, 0.8), Span(3.4, 5.0)], self.speech).cut_in_s is None


class TestStopDelay:
    def test_from_the_onset_to_the_last_sample(self) -> None:
        assert stop_delay([Span(0.0, 2.3)], 2.0, until_s=4.0) == pytest.approx(0.3)

    def test_talks_on(self) -> None:
        assert stop_delay([Span(0.0, 3.9)], 2.0, until_s=4.0) is None

    def test_was_silent_just_then(self) -> None:
        assert stop_delay([Span(0.0, 1.5)], 2.0, until_s=4.0) == 0.0


class TestDisturbance:
    words = (tone(0.4), silence(0.15), tone(0.5), silence(0.15), tone(1.5))

    def test_the_same_as_without_the_sound(self) -> None:
        found = disturbance(agent(silence(0.7), *self.words), agent(silence(0.5), *self.words))
        assert not found.stopped
        assert found.gap_s == pytest.approx(0.0, abs=0.005)

    def test_a_pause_is_longer_than_the_natural_one(self) -> None:
        paused = (tone(0.4), silence(0.15), tone(0.3), silence(0.3), tone(0.2), silence(0.15), tone(1.5))
        found = disturbance(agent(silence(0.7), *paused), agent(silence(0.5), *self.words))
        assert found.gap_s == pytest.approx(0.3, abs=0.01)
        assert found.audible

    def test_what_follows_a_pause_comes_later_and_is_no_pause(self) -> None:
        held = (tone(0.4), silence(0.23), tone(0.5), silence(0.15), tone(1.5))
        found = disturbance(agent(*held), agent(*self.words))
        assert found.gap_s == pytest.approx(0.08, abs=0.01)
        assert not found.audible

    def test_stopped(self) -> None:
        assert disturbance(agent(tone(0.8), silence(1.5)), agent(tone(3.0))).stopped
        assert disturbance(agent(silence(2.0)), agent(tone(3.0))).stopped


# ---------------------------------------------------------------- the person in the clip


class TestSpeechBounds:
    def noise(self, seconds: float, dbfs: float) -> Samples:
        drawn = np.random.default_rng(7).normal(0.0, 10.0 ** (dbfs / 20.0), round(seconds * RATE))
        return np.asarray(drawn, dtype=np.float32)

    def test_room_noise_behind_the_speech_is_not_speech(self) -> None:
        clip = np.concatenate((silence(0.5), tone(1.0), silence(0.5))) + self.noise(2.0, -55.0)
        found = speech_bounds(clip)
        assert found is not None
        assert found.start_s == pytest.approx(0.5, abs=0.03)
        assert found.end_s == pytest.approx(1.5, abs=0.03)

    def test_rumble_is_not_speech(self) -> None:
        found = speech_bounds(np.concatenate((tone(1.0), tone(1.0, hz=60.0))) + self.noise(2.0, -70.0))
        assert found is not None
        assert found.end_s == pytest.approx(1.0, abs=0.03)

    def test_speech_up_to_the_last_sample(self) -> None:
        found = speech_bounds(np.concatenate((silence(0.3), tone(1.0))))
        assert found is not None
        assert found.end_s == pytest.approx(1.3, abs=0.03)

    @pytest.mark.parametrize("seconds", [0.0, 0.01, 1.0])
    def test_silence(self, seconds: float) -> None:
        assert speech_bounds(silence(seconds)) is None


class TestClips:
    def test_those_of_the_checkout_are_labelled(self) -> None:
        clips = load_clips(None)
        assert {clip.conversational for clip in clips} == {True, False}
        for clip in clips:
            assert clip.labelled, clip.name
            assert 0.0 <= clip.speech.start_s < clip.speech.end_s <= clip.samples.size / 16_000 + 0.01, clip.name

    def test_the_level_agrees_with_the_labels_but_for_two(self) -> None:
        from voice_agent.audio.files import read_audio

        folder = Path("tests/assets/audio")
        off = set()
        for clip in load_clips(None):
            found = speech_bounds(read_audio(folder / f"{clip.name}.wav", rate=RATE))
            assert found is not None
            if abs(found.end_s - clip.speech.end_s) > 0.1:
                off.add(clip.name)
        assert off <= {"aiewf_turn_010", "jfk"}

    def test_a_folder_of_ones_own(self, tmp_path: Path) -> None:
        import soundfile

        soundfile.write(tmp_path / "mine.wav", np.concatenate((silence(0.5), tone(1.0), silence(0.5))), RATE)
        (tmp_path / "manifest.tsv").write_text("file\ttranscript\tconversational\nmine.wav\tHello.\tyes\n")
        (clip,) = load_clips(tmp_path)
        assert (clip.name, clip.conversational, clip.labelled) == ("mine", True, False)
        assert clip.speech.end_s == pytest.approx(1.5, abs=0.03)

    @pytest.mark.parametrize("table", [None, "", "name\ttext\na.wav\tb\n"])
    def test_an_unusable_manifest_is_told(self, tmp_path: Path, table: str | None) -> None:
        if table is not None:
            (tmp_path / "manifest.tsv").write_text(table)
        with pytest.raises(AudioInputError, match=r"manifest\.tsv cannot be used") as caught:
            load_clips(tmp_path)
        assert caught.value.code == "audio.manifest"


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("I'm sure it's fine.", "i am sure it is fine"),
        ("Turn on lamp 2", "turn on lamp two"),
        ("the 21st of May", "the twenty-first of May"),
        ("1,250 people", "one thousand two hundred and fifty people"),
        ("Mr. Dashwood's A.I.", "mister dashwoods AI"),
        ("OK, don’t", "okay do not"),
        ("ill-disposed", "ill disposed"),
        ("3.5%", "three point five percent"),
        ("I can't", "I cannot"),
    ],
)
def test_what_sounds_the_same_is_the_same(one: str, other: str) -> None:
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(("one", "other"), [("cat", "cats"), ("a cat", "cat"), ("20", "twenty one"), ("dog's", "dog is")])
def test_a_wrong_word_stays_wrong(one: str, other: str) -> None:
    assert normalise(one) != normalise(other)


def test_word_errors_are_counted_over_all() -> None:
    assert word_errors([("One two three.", "1 2 three"), ("Where is it?", "Where was it now?")]) == (2, 6)
    assert word_errors([]) == (0, 0)
    assert word_errors([("Hello there", "")]) == (2, 2)


# ---------------------------------------------------------------- figures


def test_a_distribution_meets_its_targets_or_misses() -> None:
    met = distribution("x", "ms", [100.0, 200.0, 300.0], targets={"p50": 200.0, "p95": 300.0})
    assert (met.p50, met.n, met.passed) == (200.0, 3, True)
    assert distribution("x", "ms", [100.0, 200.0, 400.0], targets={"p50": 200.0, "p95": 300.0}).passed is False
    assert distribution("x", "ms", [], targets={"p50": 200.0}).passed is False, "what was not measured has not passed"
    assert distribution("x", "ms", [1.0]).passed is None


def test_shares_and_totals() -> None:
    assert share("x", 1, 10, at_most=10.0).passed is True
    assert share("x", 2, 10, at_most=10.0).passed is False
    assert share("x", 0, 0, at_most=10.0).passed is False
    assert total("x", "MB", 700.1, 1, at_most=700.0).passed is False
    assert percentile([], 50) is None


def test_cut_ins_and_unanswered_turns_are_told_apart() -> None:
    turns = [turn(), turn(gap_s=0.8), turn(gap_s=None), turn(gap_s=None, cut_in_s=0.2, conversational=False)]
    every, cut_ins, conversational, none = voice_to_voice(turns)
    assert every.p50 == pytest.approx(700.0)
    assert (every.n, every.note) == (2, "1 unanswered, 1 talked over the end")
    assert (cut_ins.value, cut_ins.note) == (25.0, "jfk")
    assert (conversational.n, none.value) == (2, 0.0)


def test_transcripts() -> None:
    delay, errors, _, conversational = transcripts([turn(), turn(heard="Where was it?", conversational=False)])
    assert delay.p50 == pytest.approx(200.0)
    assert errors.value == pytest.approx(100.0 / 6)
    assert errors.passed is None
    assert (conversational.value, conversational.passed) == (0.0, True)


def test_barge_ins_and_backchannels() -> None:
    runs = [BargeIn(clip="a", stop_s=0.3, heard="", acts=()), BargeIn(clip="b", stop_s=None, heard="", acts=())]
    stop, talked_over = barge_ins(runs)
    assert (stop.p50, stop.n, talked_over.value, talked_over.passed) == (300.0, 1, 50.0, False)
    sounds = [
        Backchannel(sound="mhm", effect=Disturbance(False, 0.3), stopped=False, heard="", acts=()),
        Backchannel(sound="yeah", effect=Disturbance(False, 0.9), stopped=True, heard="", acts=()),
        Backchannel(sound="okay", effect=Disturbance(False, 0.0), stopped=False, heard="", acts=()),
    ]
    stopped, paused = backchannels(sounds)
    assert (stopped.value, stopped.note, stopped.passed) == (1, "yeah", False)
    assert (paused.value, paused.note, paused.passed) == (1, "mhm", None)


def test_memory_tells_both_readings() -> None:
    assert "401 MB in a fresh process" in memory(487.0, Readiness(seconds=1.0, rss_mb=401.0)).note


# ---------------------------------------------------------------- what is printed


def test_odd_turns_are_explained() -> None:
    odd = odd_turns([turn(), turn(gap_s=1.4), turn(gap_s=None), turn(cut_in_s=0.2)])
    assert [one.answer for one in odd] == [Answer(1.4, None), Answer(None, None), Answer(0.6, 0.2)]
    assert "no answer" in turn_line(odd[1])
    assert "cut in 200 ms early" in turn_line(odd[2])
    assert commit_line(odd[0].commits[0], 2.0) == "commit at +400 ms: hold 400 ms, p 0.97, words at +200, 'Where is it?'"


def test_the_table_shows_misses(capsys: pytest.CaptureFixture[str]) -> None:
    print_figures([distribution("voice to voice", "ms", [900.0], targets={"p50": 700.0}), total("word errors", "%", 3.14, 9)])
    shown = capsys.readouterr().out
    assert "MISS" in shown
    assert "p50 ≤ 700" in shown
    assert "3.14" in shown


# ---------------------------------------------------------------- watching


async def test_a_tape_holds_both_sides_on_one_clock(tmp_path: Path) -> None:
    import soundfile

    tape = Tape()
    for _ in range(50):
        tape.add(np.full(320, 0.25, dtype=np.float32), np.full(480, 1000, dtype=np.int16))
    assert tape.now_s == pytest.approx(1.0)
    assert tape.agent.size == RATE
    await asyncio.to_thread(tape.save, tmp_path / "both.wav")
    both, rate = await asyncio.to_thread(soundfile.read, tmp_path / "both.wav", dtype="int16")
    assert (rate, both.shape) == (RATE, (RATE, 2))
    assert (both[RATE // 2] == (8192, 1000)).all()


async def test_a_witness_tells_why_a_turn_ended() -> None:
    tape = Tape()
    tape.add(np.zeros(320, dtype=np.float32), np.zeros(480, dtype=np.int16))
    witness = Witness(tape)
    witness.observe(0.0, on.SpeechStarted(speaker="user", utterance_id=1, at=0.0))
    witness.observe(0.5, on.SpeechStopped(speaker="user", utterance_id=1, at=0.5))
    witness.observe(0.5, on.TranscriptFinal(speaker="user", utterance_id=1, text="Hello."))
    witness.observe(0.5, on.TurnProbability(speaker="user", utterance_id=1, probability=0.8))
    witness.observe(0.5, do.CommitTurn(speaker="user", item_id="1", text="Hello.", confidence=1.0, language="en"))
    witness.observe(0.6, do.PausePlayout(reply_id=1))
    witness.observe(0.7, do.DiscardTurn(speaker="user", reason="backchannel"))
    (commit,) = witness.commits
    assert (commit.text, commit.probability) == ("Hello.", 0.8)
    assert commit.hold_s == pytest.approx(0.0, abs=0.1)
    assert witness.acts == ["paused", "discarded as backchannel"]


# ---------------------------------------------------------------- the command


def test_an_unknown_part_is_refused() -> None:
    result = CliRunner().invoke(command_line(["bench"]), ["bench", "conversation", "--only", "v2v,speed"])
    assert isinstance(result.exception, InputError)
    assert "'speed'" in str(result.exception)
    assert all(part in str(result.exception) for part in PARTS)


def test_help_names_the_parts() -> None:
    result = CliRunner().invoke(command_line(["bench"]), ["bench", "conversation", "--help"])
    assert result.exit_code == 0
    assert "--only" in result.output
    assert "--recordings" in result.output


def test_the_simulated_hour_is_reported() -> None:
    result = CliRunner().invoke(command_line(["bench"]), ["bench", "conversation", "--only", "hour", "--json", "--strict"])
    assert result.exit_code == 0, result.output
    assert '"name": "an hour of conversation in the core"' in result.output


def test_the_hardware_is_told() -> None:
    from voice_agent.cli.bench import hardware

    facts = hardware.facts(2)
    assert facts["cores"] == 2
    assert facts["cpu"]
    assert hardware.Neighbours().cores() >= 0.0


def test_json_holds_every_run(capsys: pytest.CaptureFixture[str]) -> None:
    figures = [share("cut-ins", 1, 10, at_most=5.0)]
    barge = BargeIn(clip="a", stop_s=0.3, heard="stop", acts=("paused",))
    mhm = Backchannel(sound="mhm", effect=Disturbance(False, 0.3), stopped=False, heard="", acts=())
    print_as_json({"cores": 2}, {"stt": "moonshine"}, figures, [turn(), turn(gap_s=None)], [barge], [mhm])
    told = json.loads(capsys.readouterr().out)
    assert told["figures"][0]["passed"] is False
    assert [one["answer"]["gap_s"] for one in told["turns"]] == [0.6, None]
    assert told["turns"][0]["commits"][0]["probability"] == 0.97
    assert (told["barge_ins"][0]["stop_s"], told["backchannels"][0]["effect"]["gap_s"]) == (0.3, 0.3)
