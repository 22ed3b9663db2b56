"""The one normaliser of the word error rate: two transcripts that a listener would call the same become equal.

Case and punctuation go; contractions and titles are written out; digits become words; "mm-hmm" style hyphens become spaces.
Nothing else: a wrong word stays wrong.
"""

import re
import unicodedata

NEGATIONS = {"won't": "will not", "can't": "can not", "cannot": "can not", "shan't": "shall not", "ain't": "is not"}
"""Those that are not the verb plus "n't"."""

ENDINGS = (("n't", " not"), ("'m", " am"), ("'re", " are"), ("'ll", " will"), ("'ve", " have"), ("'d", " would"))

IS = frozenset(("it", "that", "this", "there", "here", "what", "where", "who", "how", "when", "why", "he", "she"))
"""Words behind which "'s" is a verb; behind others it is a genitive and stays."""

WHOLE = {
    "let's": "let us",
    "mr": "mister",
    "mrs": "missus",
    "dr": "doctor",
    "ok": "okay",
    "gonna": "going to",
    "wanna": "want to",
    "&": "and",
    "%": "percent",
}

INITIALS = re.compile(r"\b(?:[a-z]\.){2,}")
""" "a.i." is "ai"."""

GROUPED = re.compile(r"(?<=\d),(?=\d{3}\b)")
TOKEN = re.compile(r"\d+(?:\.\d+)?(?:st|nd|rd|th)?|[^\W\d_]+(?:'[^\W\d_]+)*|[&%]")
SCALE_AND = re.compile(r"\b(hundred|thousand|million) and\b")


def normalise(text: str) -> str:
    """Words with one space between them."""
    plain = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    plain = GROUPED.sub("", INITIALS.sub(lambda found: found.group().replace(".", ""), plain))
    spelt = " ".join(_spelt(token) for token in TOKEN.findall(plain))
    return SCALE_AND.sub(r"\1", spelt)


def _spelt(token: str) -> str:
    if token[0].isdigit():
        return _number(token)
    if token in WHOLE:
        return WHOLE[token]
    if token in NEGATIONS:
        return NEGATIONS[token]
    for ending, words in ENDINGS:
        if token.endswith(ending) and token != ending:
            return token.removesuffix(ending) + words
    if token.endswith("'s") and token[:-2] in IS:
        return token[:-2] + " is"
    return token.replace("'", "")


def _number(token: str) -> str:
    from num2words import num2words

    digits = token.rstrip("stndrh")
    kind = "ordinal" if digits != token and "." not in digits else "cardinal"
    value = float(digits) if "." in digits else int(digits)
    return str(num2words(value, to=kind)).replace("-", " ").replace(",", "")
