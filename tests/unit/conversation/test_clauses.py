"""The clause cutter: exact text, the same clauses for every way to divide it, and no cut where none may be."""

import time
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.conversation.clauses import ClauseCutter, ClauseLimits


def cut(text: str, limits: ClauseLimits | None = None) -> list[str]:
    cutter = ClauseCutter(limits)
    return cutter.push(text) + cutter.finish()


def cut_in_deltas(deltas: list[str]) -> list[str]:
    cutter = ClauseCutter()
    clauses = [clause for delta in deltas for clause in cutter.push(delta)]
    return clauses + cutter.finish()


FRAGMENTS = (
    'yes no the and because Dr. U.S. a.m. e.g. 3.14 1,000 3. No. 5 ... … ? ! . , ; : — – - ( ) [ ] " « » “ ” ¿ ¡ 。 、 「 」 '
    "你好 はい 公園 com https://a.b/c. a@b.co $3.50 10:30 1. 2) * # 👍"
)
PROSE = st.lists(st.sampled_from([*FRAGMENTS.split(), " ", " ", " ", "\n", "\r\n", "\t", "\xa0", "\n\n"]), max_size=60).map("".join)


@given(text=st.one_of(PROSE, st.text(max_size=200)))
def test_clauses_join_to_the_text(text: str) -> None:
    assert "".join(cut(text)) == text


@given(data=st.data(), text=PROSE)
def test_any_division_into_deltas_gives_the_same_clauses(data: st.DataObject, text: str) -> None:
    marks = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=10)))
    deltas = [text[start:end] for start, end in zip([0, *marks], [*marks, len(text)], strict=True)]
    assert cut_in_deltas(deltas) == cut(text)


@pytest.mark.parametrize("text", ["Yes. It is 3.14, a.m. ok.", "你好！3.5元。（是）好。", "« Bien ! » dit-il... oui"])
def test_every_division_into_three_deltas_gives_the_same_clauses(text: str) -> None:
    for first, second in combinations(range(len(text) + 1), 2):
        assert cut_in_deltas([text[:first], text[first:second], text[second:]]) == cut(text)
    assert cut_in_deltas(list(text)) == cut(text)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("Yes. I think that is right.", ["Yes. ", "I think that is right."]),
        ("Well, I think so. Let us go.", ["Well, I think so. ", "Let us go."]),
        ("I think so, but I am not sure.", ["I think so, ", "but I am not sure."]),
        ("Sure, I can help you with that today and tomorrow.", ["Sure, I can help you with that today ", "and tomorrow."]),
        ("It costs $3.50 or 1,000 at 10:30 a.m. today.", ["It costs $3.50 or 1,000 at 10:30 a.m. ", "today."]),
        ("Ask Dr. Smith. He knows it.", ["Ask Dr. Smith. ", "He knows it."]),
        ("It is 3. Then we go on.", ["It is 3. ", "Then we go on."]),
        ("Take No. 5 please. No. I will not.", ["Take No. 5 please. ", "No. I will not."]),
        ("See https://a.b/c?d=e.f! Or mail a.b@c.de.", ["See https://a.b/c?d=e.f! ", "Or mail a.b@c.de."]),
        ("Well... I do not know.", ["Well... I do not know."]),
        ("1. First one\n2. Second one\n", ["1. First one\n", "2. Second one\n"]),
        ('"Yes. I know," he said. Then he left.', ['"Yes. I know," ', "he said. Then he left."]),
        ("¿Qué tal? ¡Muy bien, gracias! Adiós.", ["¿Qué tal? ", "¡Muy bien, gracias! ", "Adiós."]),
        (
            "Bonjour ! Comment ça va ? Il a dit « Oui. Bon » et voilà.",
            ["Bonjour ! ", "Comment ça va ? ", "Il a dit « Oui. Bon » et voilà."],
        ),
        ("你好！我可以帮你。今天天气很好。", ["你好！", "我可以帮你。今天天气很好。"]),
        ("はい、わかりました。行きましょう。", ["はい、わかりました。", "行きましょう。"]),
        ("価格は3.14です。", ["価格は3.14です。"]),
        ("   ", ["   "]),
        ("", []),
    ],
)
def test_examples(text: str, clauses: list[str]) -> None:
    assert cut(text) == clauses


def test_text_without_punctuation_is_cut_at_words_in_growing_pieces() -> None:
    clauses = cut(("we walked along the river and talked about the weather " * 20).strip())
    sizes = [len(clause.split()) for clause in clauses]
    assert 3 <= sizes[0] <= 8
    assert sizes[1] <= 15
    assert max(sizes) <= 30
    assert sizes[0] < sizes[1] < sizes[2]


def test_chinese_without_punctuation_is_cut_by_characters() -> None:
    clauses = cut("今天天气非常好我们一起去公园散步吧然后再去吃饭看电影买东西回家睡觉")
    assert 4 <= len(clauses[0]) <= 16


def test_a_digit_group_is_never_divided() -> None:
    for clause in cut("my number is 555 123 4567 890 12 34 56 78 and yours is 1 000 000 I believe for sure"):
        assert not (clause.rstrip()[-1:].isdigit() and clause != "my number is 555 123 4567 890 12 34 56 78 ")


def test_a_first_clause_leaves_as_soon_as_the_next_word_begins() -> None:
    cutter = ClauseCutter()
    assert cutter.push("Yes.") == []
    assert cutter.push(" ") == []
    assert cutter.push("I") == ["Yes. "]


def test_limits_are_parameters() -> None:
    limits = ClauseLimits(first_max=4)
    assert len(cut("one two three four five six seven eight nine", limits)[0].split()) <= 4


@pytest.mark.parametrize("piece", ["a", "a ", ", ", "( ", "1 ", "« ", '"', "字", "word. ", "\n", "- "])
def test_long_text_takes_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    started = time.process_time()
    clauses = cut(text)
    assert time.process_time() - started < 5.0
    assert "".join(clauses) == text
    assert max(map(len, clauses)) <= 2001
