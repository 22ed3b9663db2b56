"""Languages of sessions."""

from voice_agent.engines.stt.languages import REMEMBERED_SESSIONS, SessionLanguages, primary


def test_the_language_of_a_tag() -> None:
    assert [primary(tag) for tag in ("en", "en-US", "EN_gb", " pt-BR ")] == ["en", "en", "en", "pt"]


def test_sessions_are_remembered_up_to_a_bound() -> None:
    languages = SessionLanguages()
    languages.set("first", "es")
    for number in range(REMEMBERED_SESSIONS - 1):
        languages.set(str(number), "en")
    assert languages.get("first") == "es", "looked at, so it is not the oldest any more"
    languages.set("one more", "de")
    assert languages.get("0") is None
    assert languages.get("first") == "es"
    assert languages.get("unknown") is None
