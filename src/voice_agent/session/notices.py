"""What the agent says when it has nothing better to say."""

from typing import Literal

Notice = Literal["reply_lost", "not_understood"]

_TEXTS: dict[str, dict[Notice, str]] = {
    "en": {
        "reply_lost": "Sorry, I lost my answer. Could you say that again?",
        "not_understood": "Sorry, I did not catch that.",
    },
    "es": {
        "reply_lost": "Perdona, he perdido mi respuesta. ¿Puedes repetirlo?",
        "not_understood": "Perdona, no te he entendido.",
    },
    "fr": {
        "reply_lost": "Désolé, j'ai perdu ma réponse. Pouvez-vous répéter ?",
        "not_understood": "Désolé, je n'ai pas compris.",
    },
    "de": {
        "reply_lost": "Entschuldigung, meine Antwort ist verloren gegangen. Sagst du das noch einmal?",
        "not_understood": "Entschuldigung, das habe ich nicht verstanden.",
    },
}


def notice_text(notice: Notice, language: str) -> str:
    """In `language` (ISO 639-1) if it is in the catalogue, else in English."""
    return _TEXTS.get(language[:2], _TEXTS["en"])[notice]
