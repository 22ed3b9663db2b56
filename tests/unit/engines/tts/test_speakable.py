"""Written text to spoken text, and which original word each spoken word comes from."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voice_agent.engines.tts.speakable import speakable

LANGUAGES = ["en", "es", "fr", "de", "it", "pt-br", "zh", "ja", "xx"]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        # markdown and marks
        ("**Bold** and *it* and `code`.", "Bold and it and code."),
        ("# Title\n\n- one thing\n- two things", "Title. one thing. two things"),
        ("See [the docs](https://a.io/b) here.", "See the docs here."),
        ("![alt text](x.png) <br> <https://example.com>", "alt text example dot com"),
        ("| a | b |\n|---|---|\n| c | d |", "a, b, c, d,"),
        ("👍🏽 Great! 🎉 — wow", "Great! wow"),
        ("snake_case and R&D and/or C++", "snake case and R and D and or C plus plus"),
        ("Well... yes", "Well... yes"),
        ("```python\nx\n```\nDone", "x. Done"),
        # addresses
        ("Mail jane.doe@example.com or visit https://www.example.com/about?x=1.",
         "Mail jane dot doe at example dot com or visit example dot com slash about."),
        ("#topic @user #5", "hashtag topic at user number five"),
        # numbers
        ("3.14 and 1,234 and -5 and 007",
         "three point one four and one thousand two hundred and thirty-four and minus five and zero zero seven"),
        ("12345678901234567890",
         "one two three four five six seven eight nine zero one two three four five six seven eight nine zero"),
        ("1st 2nd 21st 100th", "first second twenty-first one hundredth"),
        ("1/2, 3/4 and 2½ cups", "one half, three quarters and two and one half cups"),
        ("5–10% or 5-10 or $5-10", "five to ten percent or five to ten or five to ten dollars"),
        ("50% 0.5% 100 %", "fifty percent zero point five percent one hundred percent"),
        ("v1.2.3 and 192.168.1.1",
         "version one point two point three and one hundred and ninety-two point one hundred and sixty-eight point one point one"),
        ("GPT-4 is a 5-star H100", "GPT four is a five star H100"),
        ("24/7 at 16:9", "twenty-four seven at sixteen to nine"),
        # money
        ("$3.50", "three dollars and fifty cents"),
        ("$1, €2.01, £0.50 and $1,000.99",
         "one dollar, two euros and one cent, fifty pence and one thousand dollars and ninety-nine cents"),
        ("$5 million, $2.5M, USD 50, 50 EUR",
         "five million dollars, two point five million dollars, fifty US dollars, fifty euros"),
        # times and dates
        ("10:30 a.m. 10am 10:05 10:00 9 pm", "ten thirty A-M ten A-M ten oh five ten o'clock nine P-M"),
        ("2026-11-23 and 11/23/2026", "November twenty-third twenty twenty-six and November twenty-third twenty twenty-six"),
        ("Nov 23, 2026 and May 5", "November twenty-third, twenty twenty-six and May fifth"),
        ("in 1984, 2005 and the 1990s, 2020-2024",
         "in nineteen eighty-four, two thousand and five and the nineteen nineties, twenty twenty to twenty twenty-four"),
        # units
        ("100 km/h, 5km, 1 kg, 20°C and 16 GB",
         "one hundred kilometers per hour, five kilometers, one kilogram, twenty degrees Celsius and sixteen gigabytes"),
        ("$2.99/lb, $50k/year, 1.5k, 3.5x",
         "two dollars and ninety-nine cents per pound, fifty thousand dollars per year, "
         "one point five thousand, three point five times"),
        ("9am-5pm, 9:00-17:00, 3rd-party, 50/50, 10-15 min",
         "nine A-M to five P-M, nine o'clock to seventeen o'clock, third party, fifty fifty, ten to fifteen minutes"),
        ("5 * 3 = 15 and 10 / 2 = 5", "five times three equals fifteen and ten divided by two equals five"),
        ("UTC+2, 6'2\", pp. 6-7 &amp; so on.[1]", "UTC plus two, six foot two, pages six to seven and so on."),
        # telephone numbers
        ("+1-555-123-4567", "plus one, five five five, one two three, four five six seven"),
        ("call 555 123 4567", "call five five five one two three four five six seven"),
        # abbreviations
        ("Dr. Smith vs. Mr. Jones, e.g., at St. Mary etc.",
         "Doctor Smith versus Mister Jones, for example, at Saint Mary et cetera."),
        ("I live in the U.S. It is at 12 Main St. today.", "I live in the U-S. It is at twelve Main Street today."),
        ("No. 5? No. I am.", "number five? No. I am."),
        ("I'm sure it's John's, don't you think?", "I'm sure it's John's, don't you think?"),
    ],
)  # fmt: skip
def test_english(text: str, spoken: str) -> None:
    assert speakable(text, "en").spoken == spoken


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("es", "Cuesta 3,50 € a las 10:30.", "Cuesta tres euros y cincuenta centavos a las diez y treinta."),
        ("es", "El 23/11/2026, 5 % y 1.000.000", "El veintitrés de noviembre de dos mil veintiséis, cinco por ciento y un millón"),
        ("es", "21 km, 1 kg, Sr. Pérez, 3,14", "veintiún kilómetros, un kilo, señor Pérez, tres coma catorce"),
        ("fr", "Ça coûte 1 000,50 € à 10h30 !", "Ça coûte mille euros et cinquante centimes à dix heures trente!"),
        ("fr", "Le 1 mai et le 23/11/2026 : 5 %", "Le premier mai et le vingt-trois novembre deux mille vingt-six: cinq pour cent"),
        (
            "fr",
            "M. Dupont, 1er, 06 12 34 56 78",
            "Monsieur Dupont, premier, zéro six douze trente-quatre cinquante-six soixante-dix-huit",
        ),
        ("de", "Das kostet 3,50 € um 10:30 Uhr.", "Das kostet drei Euro und fünfzig Cent um zehn Uhr dreißig."),
        ("it", "21 km e 3,5 %", "ventuno chilometri e tre virgola cinque per cento"),
        ("pt-br", "R$ 3,50 e 5%", "três reais e cinquenta centavos e cinco por cento"),
        ("zh", "价格是3.14元 👍 **你好**。", "价格是3.14元 你好。"),
    ],
)
def test_other_languages(language: str, text: str, spoken: str) -> None:
    assert speakable(text, language).spoken == spoken


def test_each_spoken_word_knows_its_original() -> None:
    speech = speakable("Pay $3.50 👍 now", "en")
    assert speech.words == ("Pay", "$3.50", "👍", "now")
    assert speech.spoken_words == ("Pay", "three", "dollars", "and", "fifty", "cents", "now")
    assert speech.origins == (0, 1, 1, 1, 1, 1, 3)
    starts = speech.starts()
    for index, word in enumerate(speech.spoken_words):
        assert speech.spoken[starts[index] :].startswith(word)
        assert speech.spoken_at(starts[index], starts) == index
        assert speech.spoken_at(starts[index] + len(word) - 1, starts) == index


FRAGMENTS = (
    "word Dr. $3.50 $ € 5 12 1,000 1.000 3,14 10:30 99:99 25:00 2026-13-45 1/0 ½ 5–10 % #1 #a @b a@b.co "
    "https:// www. http://a.b/c?d "
    "[a](b) [a]( ** * _ ` | |--| - — … ... ?! ¿ « » 👍 \x00 \ud800 ５ ٣ ² 1st 1e9 +1-555-123-4567 (555) million "
    "Nov am p.m. Uhr R$ °C 007 s"
)


@given(
    text=st.one_of(
        st.lists(st.sampled_from([*FRAGMENTS.split(), " ", "\n", "\n\n", "\xa0"]), max_size=30).map(" ".join), st.text(max_size=80)
    ),
    language=st.sampled_from(LANGUAGES),
)
def test_any_text_in_any_language_keeps_the_mapping(text: str, language: str) -> None:
    speech = speakable(text, language)
    assert list(speech.words) == text.split()
    assert len(speech.origins) == len(speech.spoken_words)
    assert list(speech.origins) == sorted(speech.origins)
    assert all(0 <= origin < len(speech.words) for origin in speech.origins)
    assert all(any(char.isalnum() for char in word) for word in speech.spoken_words)
    assert speech.spoken.split() == list(speech.spoken_words)
    speech.spoken.encode()


@pytest.mark.parametrize(
    "piece", ["a", "1", "1,", "1 ", "([", "[a](b ", "a.b", "<", "**", "$", "-", ". ", "a_b/", "5-", "http://a/", "1:1", "½"]
)
def test_long_text_takes_linear_time(piece: str) -> None:
    text = piece * (100_000 // len(piece))
    started = time.process_time()
    speakable(text, "en")
    assert time.process_time() - started < 4.0
