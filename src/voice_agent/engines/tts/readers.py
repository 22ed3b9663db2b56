"""Readers: each recognises one kind of written thing (a date, a price, a version …) and says how it is spoken.

A reader gets one word without its surrounding punctuation, and the words beside it; it answers with the spoken words, or None
where this is not its kind. Words longer than `LONGEST` are never shown to them, so that no text can make them slow.
"""

from voice_agent.engines.tts.dates import read_date, read_ratio, read_time
from voice_agent.engines.tts.identifiers import (
    read_decade,
    read_mixed,
    read_number,
    read_numbered,
    read_ordinal,
    read_phone,
    read_version,
)
from voice_agent.engines.tts.patterns import Reader
from voice_agent.engines.tts.quantities import read_fraction, read_half, read_measure, read_money, read_percent, read_span

NUMERIC: tuple[Reader, ...] = (
    read_half, read_date, read_time, read_ratio, read_phone, read_version, read_money, read_percent, read_ordinal, read_decade,
    read_measure, read_span, read_fraction, read_numbered, read_number, read_mixed,
)  # fmt: skip
"""In the order in which they are asked, for words with a digit."""
