"""What each language says for symbols, units, currencies, months and abbreviations. Tables only.

English is complete; Spanish and French cover numbers, money, percentages, times and dates; German, Italian and Portuguese the
same with fewer units. Other languages get `PLAIN`: marks are removed and digits are left to the engine's own reading.
"""

from dataclasses import dataclass, field
from typing import TypeAlias

Plural: TypeAlias = tuple[str, str]
"""(for one, for several)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lexicon:
    """`decimal` and `grouping` are the marks inside numbers. `day_first`: 11/12 is the 11th of December."""

    code: str
    numbers: bool = True
    decimal: str = ","
    grouping: str = "."
    day_first: bool = True
    point: str = ""
    minus: str = ""
    percent: str = ""
    to: str = ""
    dot: str = "."
    at: str = "@"
    slash: str = ""
    over: str = ""
    and_: str = ""
    per: str = ""
    times: str = ""
    divided: str = ""
    of: str = ""
    hour: Plural = ("", "")
    one_before_noun: tuple[tuple[str, str], ...] = ()
    """Endings of "one" that change before a noun: Spanish "veintiuno" becomes "veintiún euros"."""
    cents: Plural = ("cent", "cents")
    pence: Plural = ("penny", "pence")
    currencies: dict[str, Plural] = field(default_factory=dict)
    units: dict[str, Plural] = field(default_factory=dict)
    magnitudes: dict[str, str] = field(default_factory=dict)
    months: tuple[str, ...] = ()
    month_names: dict[str, int] = field(default_factory=dict)
    symbols: dict[str, str] = field(default_factory=dict)
    abbreviations: dict[str, str] = field(default_factory=dict)
    """Lower case, with their dots."""
    halves: dict[str, str] = field(default_factory=dict)


def _months(names: str, short: str) -> tuple[tuple[str, ...], dict[str, int]]:
    full = tuple(names.split())
    numbers = {name.lower(): index for index, name in enumerate(full, 1)}
    return full, numbers | {name: index for index, name in enumerate(short.split(), 1)}


_EN_MONTHS, _EN_NUMBERS = _months(
    "January February March April May June July August September October November December",
    "jan feb mar apr may jun jul aug sep oct nov dec",
)
_ES_MONTHS, _ES_NUMBERS = _months(
    "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "ene feb mar abr may jun jul ago sep oct nov dic",
)
_FR_MONTHS, _FR_NUMBERS = _months(
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "janv févr mars avr mai juin juil août sept oct nov déc",
)
_DE_MONTHS, _DE_NUMBERS = _months(
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "jan feb mär apr mai jun jul aug sep okt nov dez",
)
_IT_MONTHS, _IT_NUMBERS = _months(
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "gen feb mar apr mag giu lug ago set ott nov dic",
)
_PT_MONTHS, _PT_NUMBERS = _months(
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "jan fev mar abr mai jun jul ago set out nov dez",
)

ENGLISH = Lexicon(
    code="en",
    decimal=".",
    grouping=",",
    day_first=False,
    point="point",
    minus="minus",
    percent="percent",
    to="to",
    dot="dot",
    at="at",
    slash="slash",
    over="over",
    and_="and",
    per="per",
    times="times",
    divided="divided by",
    of="of",
    hour=("o'clock", "o'clock"),
    currencies={
        "$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("pound", "pounds"), "¥": ("yen", "yen"), "₹": ("rupee", "rupees"),
        "USD": ("US dollar", "US dollars"), "EUR": ("euro", "euros"), "GBP": ("British pound", "British pounds"),
        "JPY": ("yen", "yen"),
    },
    units={
        "km/h": ("kilometer per hour", "kilometers per hour"), "kph": ("kilometer per hour", "kilometers per hour"),
        "mph": ("mile per hour", "miles per hour"), "m/s": ("meter per second", "meters per second"),
        "km": ("kilometer", "kilometers"), "m": ("meter", "meters"), "cm": ("centimeter", "centimeters"),
        "mm": ("millimeter", "millimeters"),
        "mi": ("mile", "miles"), "ft": ("foot", "feet"), "yd": ("yard", "yards"), "lb": ("pound", "pounds"),
        "lbs": ("pound", "pounds"),
        "oz": ("ounce", "ounces"), "kg": ("kilogram", "kilograms"), "g": ("gram", "grams"), "mg": ("milligram", "milligrams"),
        "l": ("liter", "liters"), "L": ("liter", "liters"), "ml": ("milliliter", "milliliters"),
        "mL": ("milliliter", "milliliters"),
        "°C": ("degree Celsius", "degrees Celsius"), "°F": ("degree Fahrenheit", "degrees Fahrenheit"), "°": ("degree", "degrees"),
        "KB": ("kilobyte", "kilobytes"), "kB": ("kilobyte", "kilobytes"), "MB": ("megabyte", "megabytes"),
        "GB": ("gigabyte", "gigabytes"), "TB": ("terabyte", "terabytes"), "GHz": ("gigahertz", "gigahertz"),
        "MHz": ("megahertz", "megahertz"),
        "kHz": ("kilohertz", "kilohertz"), "Hz": ("hertz", "hertz"), "Mbps": ("megabit per second", "megabits per second"),
        "Gbps": ("gigabit per second", "gigabits per second"), "kWh": ("kilowatt hour", "kilowatt hours"),
        "kW": ("kilowatt", "kilowatts"),
        "W": ("watt", "watts"), "V": ("volt", "volts"), "x": ("times", "times"), "k": ("thousand", "thousand"),
        "ms": ("millisecond", "milliseconds"), "s": ("second", "seconds"),
        "sec": ("second", "seconds"), "min": ("minute", "minutes"), "mins": ("minute", "minutes"), "h": ("hour", "hours"),
        "hr": ("hour", "hours"), "hrs": ("hour", "hours"), "km²": ("square kilometer", "square kilometers"),
        "m²": ("square meter", "square meters"), "m³": ("cubic meter", "cubic meters"), "dB": ("decibel", "decibels"),
    },
    magnitudes={"k": "thousand", "m": "million", "mn": "million", "b": "billion", "bn": "billion", "t": "trillion"},
    months=_EN_MONTHS,
    month_names=_EN_NUMBERS | {"sept": 9},
    symbols={
        "&": "and", "+": "plus", "=": "equals", "%": "percent", "@": "at", "/": "slash", "×": "times",
        "÷": "divided by",
        "≈": "about", "<": "less than", ">": "greater than", "→": "to", "°": "degrees", "~": "about", "±": "plus or minus",
        "€": "euros",
        "$": "dollars", "£": "pounds", "≥": "at least", "≤": "at most", "≠": "not equal to",
    },
    abbreviations={
        "p.": "page", "pp.": "pages", "cf.": "compare", "dr.": "Doctor", "mr.": "Mister", "mrs.": "Missus", "ms.": "Miz",
        "prof.": "Professor", "st.": "Saint", "mt.": "Mount",
        "jr.": "Junior", "sr.": "Senior", "e.g.": "for example,", "i.e.": "that is,", "etc.": "et cetera", "vs.": "versus",
        "vs": "versus",
        "approx.": "approximately", "no.": "number", "nos.": "numbers", "fig.": "figure", "vol.": "volume", "gen.": "General",
        "a.m.": "A-M", "p.m.": "P-M", "am.": "A-M", "pm.": "P-M", "w/": "with", "w/o": "without", "inc.": "Incorporated",
        "ltd.": "Limited", "corp.": "Corporation", "dept.": "department", "est.": "established", "min.": "minutes",
        "max.": "maximum",
        "ave.": "Avenue", "blvd.": "Boulevard", "rd.": "Road", "tel.": "telephone", "ph.d.": "P-H-D", "24/7": "twenty-four seven",
        "c++": "C plus plus", "c#": "C sharp", "oct.": "October", "w/e": "whatever",
    },
    halves={"½": "one half", "¼": "one quarter", "¾": "three quarters", "⅓": "one third", "⅔": "two thirds", "⅛": "one eighth"},
)  # fmt: skip

SPANISH = Lexicon(
    code="es", point="coma", minus="menos", percent="por ciento", to="a", dot="punto", at="arroba", slash="barra", over="sobre",
    and_="y",
    of="de", one_before_noun=(("veintiuno", "veintiún"), ("uno", "un")), cents=("centavo", "centavos"),
    pence=("penique", "peniques"),
    currencies={
        "$": ("dólar", "dólares"), "€": ("euro", "euros"), "£": ("libra", "libras"), "¥": ("yen", "yenes"),
        "USD": ("dólar", "dólares"),
        "EUR": ("euro", "euros"), "MXN": ("peso", "pesos"), "ARS": ("peso", "pesos"),
    },
    units={
        "km/h": ("kilómetro por hora", "kilómetros por hora"), "km": ("kilómetro", "kilómetros"), "m": ("metro", "metros"),
        "cm": ("centímetro", "centímetros"), "mm": ("milímetro", "milímetros"), "kg": ("kilo", "kilos"), "g": ("gramo", "gramos"),
        "l": ("litro", "litros"), "ml": ("mililitro", "mililitros"), "°C": ("grado", "grados"), "°": ("grado", "grados"),
        "GB": ("gigabyte", "gigabytes"), "MB": ("megabyte", "megabytes"), "min": ("minuto", "minutos"), "h": ("hora", "horas"),
        "s": ("segundo", "segundos"), "ms": ("milisegundo", "milisegundos"),
    },
    magnitudes={"k": "mil", "m": "millones"},
    months=_ES_MONTHS, month_names=_ES_NUMBERS | {"sept": 9},
    symbols={
        "&": "y", "+": "más", "=": "igual a", "%": "por ciento", "@": "arroba", "/": "barra", "×": "por",
        "€": "euros",
        "$": "dólares", "<": "menor que", ">": "mayor que", "≈": "aproximadamente", "~": "aproximadamente",
    },
    abbreviations={
        "dr.": "doctor", "dra.": "doctora", "sr.": "señor", "sra.": "señora", "srta.": "señorita", "ud.": "usted",
        "uds.": "ustedes",
        "etc.": "etcétera", "p.ej.": "por ejemplo", "núm.": "número", "n.º": "número", "nº": "número", "aprox.": "aproximadamente",
        "a.m.": "de la mañana", "p.m.": "de la tarde", "ee.uu.": "Estados Unidos", "av.": "avenida", "pág.": "página",
    },
    halves={"½": "medio", "¼": "un cuarto", "¾": "tres cuartos"},
)  # fmt: skip

FRENCH = Lexicon(
    code="fr", grouping=" ", point="virgule", minus="moins", percent="pour cent", to="à", dot="point", at="arobase", slash="barre",
    over="sur", and_="et", per="par", times="fois", divided="divisé par", hour=("heure", "heures"),
    cents=("centime", "centimes"), pence=("penny", "pence"),
    currencies={
        "$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("livre", "livres"), "¥": ("yen", "yens"),
        "USD": ("dollar", "dollars"),
        "EUR": ("euro", "euros"), "CHF": ("franc suisse", "francs suisses"),
    },
    units={
        "km/h": ("kilomètre heure", "kilomètres heure"), "km": ("kilomètre", "kilomètres"), "m": ("mètre", "mètres"),
        "cm": ("centimètre", "centimètres"), "mm": ("millimètre", "millimètres"), "kg": ("kilo", "kilos"),
        "g": ("gramme", "grammes"),
        "l": ("litre", "litres"), "ml": ("millilitre", "millilitres"), "°C": ("degré", "degrés"), "°": ("degré", "degrés"),
        "Go": ("gigaoctet", "gigaoctets"), "Mo": ("mégaoctet", "mégaoctets"), "GB": ("gigaoctet", "gigaoctets"),
        "min": ("minute", "minutes"), "h": ("heure", "heures"), "s": ("seconde", "secondes"),
        "ms": ("milliseconde", "millisecondes"),
    },
    magnitudes={"k": "mille", "m": "millions"},
    months=_FR_MONTHS, month_names=_FR_NUMBERS,
    symbols={
        "&": "et", "+": "plus", "=": "égale", "%": "pour cent", "@": "arobase", "/": "barre", "×": "fois",
        "€": "euros",
        "$": "dollars", "<": "inférieur à", ">": "supérieur à", "≈": "environ", "~": "environ",
    },
    abbreviations={
        "dr": "docteur", "dr.": "docteur", "m.": "Monsieur", "mm.": "Messieurs", "mme": "Madame", "mme.": "Madame",
        "mlle": "Mademoiselle",
        "etc.": "et cetera", "p.ex.": "par exemple", "c.-à-d.": "c'est-à-dire", "n°": "numéro", "nº": "numéro", "env.": "environ",
        "av.": "avenue", "bd": "boulevard", "st": "saint", "1er": "premier", "1ère": "première", "1re": "première",
    },
    halves={"½": "un demi", "¼": "un quart", "¾": "trois quarts"},
)  # fmt: skip

GERMAN = Lexicon(
    code="de", point="Komma", minus="minus", percent="Prozent", to="bis", dot="Punkt", at="ät", slash="Schrägstrich", over="durch",
    and_="und", per="pro", times="mal", divided="durch", hour=("Uhr", "Uhr"), one_before_noun=(("eins", "ein"),),
    cents=("Cent", "Cent"), pence=("Penny", "Pence"),
    currencies={
        "$": ("Dollar", "Dollar"), "€": ("Euro", "Euro"), "£": ("Pfund", "Pfund"), "EUR": ("Euro", "Euro"),
        "CHF": ("Franken", "Franken"),
    },
    units={
        "km/h": ("Kilometer pro Stunde", "Kilometer pro Stunde"), "km": ("Kilometer", "Kilometer"), "m": ("Meter", "Meter"),
        "cm": ("Zentimeter", "Zentimeter"), "kg": ("Kilogramm", "Kilogramm"), "g": ("Gramm", "Gramm"), "°C": ("Grad", "Grad"),
        "°": ("Grad", "Grad"), "GB": ("Gigabyte", "Gigabyte"), "min": ("Minute", "Minuten"), "h": ("Stunde", "Stunden"),
    },
    months=_DE_MONTHS, month_names=_DE_NUMBERS,
    symbols={"&": "und", "+": "plus", "=": "gleich", "%": "Prozent", "@": "ät", "/": "Schrägstrich", "×": "mal", "€": "Euro",
    "$": "Dollar"},
    abbreviations={
        "z.b.": "zum Beispiel", "d.h.": "das heißt", "usw.": "und so weiter", "bzw.": "beziehungsweise", "dr.": "Doktor",
        "nr.": "Nummer",
        "ca.": "circa", "hr.": "Herr", "fr.": "Frau", "u.a.": "unter anderem", "st.": "Sankt", "str.": "Straße",
    },
    halves={"½": "ein halb", "¼": "ein Viertel", "¾": "drei Viertel"},
)  # fmt: skip

ITALIAN = Lexicon(
    code="it", point="virgola", minus="meno", percent="per cento", to="a", dot="punto", at="chiocciola", slash="barra",
    over="su", and_="e",
    one_before_noun=(("uno", "un"),), cents=("centesimo", "centesimi"), pence=("penny", "pence"),
    currencies={"$": ("dollaro", "dollari"), "€": ("euro", "euro"), "£": ("sterlina", "sterline"), "EUR": ("euro", "euro")},
    units={
        "km/h": ("chilometro orario", "chilometri orari"), "km": ("chilometro", "chilometri"), "m": ("metro", "metri"),
        "cm": ("centimetro", "centimetri"), "kg": ("chilo", "chili"), "g": ("grammo", "grammi"), "°C": ("grado", "gradi"),
        "°": ("grado", "gradi"), "GB": ("gigabyte", "gigabyte"), "min": ("minuto", "minuti"), "h": ("ora", "ore"),
    },
    months=_IT_MONTHS, month_names=_IT_NUMBERS,
    symbols={"&": "e", "+": "più", "=": "uguale", "%": "per cento", "@": "chiocciola", "/": "barra", "×": "per", "€": "euro",
    "$": "dollari"},
    abbreviations={
        "ecc.": "eccetera", "dott.": "dottor", "sig.": "signor", "sig.ra": "signora", "es.": "esempio", "n.": "numero",
        "prof.": "professor",
    },
    halves={"½": "mezzo", "¼": "un quarto", "¾": "tre quarti"},
)  # fmt: skip

PORTUGUESE = Lexicon(
    code="pt", point="vírgula", minus="menos", percent="por cento", to="a", dot="ponto", at="arroba", slash="barra",
    over="sobre", and_="e",
    of="de", cents=("centavo", "centavos"), pence=("pêni", "pence"),
    currencies={
        "$": ("dólar", "dólares"), "€": ("euro", "euros"), "£": ("libra", "libras"), "R$": ("real", "reais"),
        "EUR": ("euro", "euros"),
        "BRL": ("real", "reais"),
    },
    units={
        "km/h": ("quilômetro por hora", "quilômetros por hora"), "km": ("quilômetro", "quilômetros"), "m": ("metro", "metros"),
        "cm": ("centímetro", "centímetros"), "kg": ("quilo", "quilos"), "g": ("grama", "gramas"), "°C": ("grau", "graus"),
        "°": ("grau", "graus"), "GB": ("gigabyte", "gigabytes"), "min": ("minuto", "minutos"), "h": ("hora", "horas"),
    },
    months=_PT_MONTHS, month_names=_PT_NUMBERS,
    symbols={"&": "e", "+": "mais", "=": "igual a", "%": "por cento", "@": "arroba", "/": "barra", "×": "vezes", "€": "euros",
    "$": "dólares"},
    abbreviations={
        "sr.": "senhor", "sra.": "senhora", "dr.": "doutor", "dra.": "doutora", "etc.": "et cetera", "p.ex.": "por exemplo",
        "nº": "número",
    },
    halves={"½": "meio", "¼": "um quarto", "¾": "três quartos"},
)  # fmt: skip

PLAIN = Lexicon(code="", numbers=False)

_LEXICONS = {lexicon.code: lexicon for lexicon in (ENGLISH, SPANISH, FRENCH, GERMAN, ITALIAN, PORTUGUESE)}


def lexicon(language: str) -> Lexicon:
    """Of an ISO 639-1 code or tag ("pt-br"); `PLAIN` for a language without a table."""
    return _LEXICONS.get(language.lower().replace("_", "-").split("-")[0], PLAIN)
