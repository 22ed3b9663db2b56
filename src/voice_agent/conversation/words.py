"""Text as words, for decisions: what is the same, what is an empty "mhm", what is plainly not finished.

The word lists hold English, Spanish, French and German, the languages that the decisions were looked at in; an unlisted
language falls back to punctuation and sound. Scripts without spaces count each character as a word.
"""

import re

SINGLE_CHARACTER_WORDS = (("぀", "ヿ"), ("㐀", "鿿"), ("가", "힯"))
"""First and last of Japanese kana, CJK ideographs, Hangul: each character counts as a word."""

WORD = re.compile(
    f"[{''.join(f'{first}-{last}' for first, last in SINGLE_CHARACTER_WORDS)}]"
    r"|[^\W_]+(?:['’][^\W_]+)*"  # anything else: letters and digits, inner apostrophes kept
)
"""A word of lower-case text."""

SENTENCE_END = frozenset(".!?。！？…؟")
PAUSE_MARKS = frozenset(",;:-–—、，；：")


def _listed(text: str) -> frozenset[str]:
    return frozenset(text.split())


BACKCHANNELS = _listed(
    """
    m mhm mm mmm mmhmm hm hmm hmmm uh huh uhhuh ah oh aha yeah yep yes yup ok okay right sure good great nice cool
    i see got it wow really true exactly indeed
    sí si vale claro ya ajá bueno
    oui ouais d'accord voilà
    ja genau gut stimmt
    """
)
"""Words that people say to show that they listen. A whole utterance made of these (at most `BACKCHANNEL_WORDS`) is one."""

BACKCHANNEL_WORDS = 3
"""Longer ones ("yes yes okay right then") are on the way to taking the turn."""

HESITATIONS = _listed("um uhm uh er erm hmm mm ehm äh ähm eh este euh")

UNFINISHED = _listed(
    """
    and but or nor so because if when while although unless until since whether as than that which who whose
    the a an this these those my your his its our their some any every each no
    to of in on at for with without from by about into over under between through during before after like
    is are was were am be been being have has had do does did will would can could should may might must
    i'm you're we're they're he's she's it's i'd you'd i'll let's i we they
    very really just even also maybe perhaps plus minus versus mr mrs ms dr
    y o pero porque que cuando como de del la el los las un una en con por para mi tu su es son está
    et ou mais donc car quand comme du le les des avec pour par mon ma ton ta est sont
    und oder aber denn weil dass wenn als wie der die das ein eine einen im mit für von zu mein meine ist sind
    """
)
"""Last words that promise more: conjunctions, articles, prepositions, possessives, auxiliaries."""

ANSWERS = _listed("yes yeah yep yup no nope ok okay sure right sí si claro vale oui non ja nein")
"""One-word turns that are complete."""


def words(text: str) -> list[str]:
    """Lower-case words without punctuation; "I'm" is one word, "uh-huh" two."""
    return [word.replace("’", "'") for word in WORD.findall(text.lower())]


def same_words(one: str, other: str) -> bool:
    """Equal up to case and punctuation."""
    return one == other or words(one) == words(other)


def begins_with(text: str, beginning: str) -> bool:
    """`text` starts with all words of `beginning`."""
    head = words(beginning)
    return words(text)[: len(head)] == head


def is_backchannel(text: str) -> bool:
    """ "Mhm", "okay", "I see": nothing that asks for the turn. A word said several times counts once."""
    said = set(words(text))
    return 0 < len(said) <= BACKCHANNEL_WORDS and said <= BACKCHANNELS


def is_filler(text: str) -> bool:
    """Backchannels and hesitations only: so far nothing has been said."""
    said = set(words(text))
    return bool(said) and said <= BACKCHANNELS | HESITATIONS


def is_echo(text: str, spoken: str) -> bool:
    """`text` (three words or more) stands word for word in what the agent has just said or is about to say: the microphone
    hears the loudspeaker."""
    said = words(text)
    if len(said) < 3:
        return False
    own = words(spoken)
    return any(own[start : start + len(said)] == said for start in range(len(own) - len(said) + 1))


def is_question(text: str) -> bool:
    return text.rstrip().endswith(("?", "？", "؟"))


def completeness(text: str) -> float:
    """How finished the words sound, in [0, 1], without hearing them. 0.5 when nothing tells."""
    said = words(text)
    if not said:
        return 0.0
    last, end = said[-1], text.rstrip()[-1]
    if text.rstrip().endswith(("...", "…")):
        return 0.05
    if last in HESITATIONS or (last in UNFINISHED and last not in ANSWERS):
        return 0.05 if end not in SENTENCE_END or end == "." else 0.4
    if end in PAUSE_MARKS:
        return 0.15
    if end in "?？؟":
        return 0.95
    if end in SENTENCE_END:
        return 0.7 if len(said) > 2 or said[0] in ANSWERS else 0.6
    return 0.45
