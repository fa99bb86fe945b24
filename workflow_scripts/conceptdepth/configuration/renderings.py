"""Entries of ``perturbations``: ways to present the same statements, what each decides, and what is wrong with some.

Their texts are the work of `conceptdepth.datasets.prompts`, and chats that of `conceptdepth.models.chat`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from conceptdepth.configuration.sentences import nearest
from conceptdepth.configuration.settings import chosen_keys, in_order, pinned
from conceptdepth.datasets.prompts import around, overrides, presented
from conceptdepth.ground.errors import one_of
from conceptdepth.ground.shapes import json_of_shape
from conceptdepth.models.chat_files import KEY, has_chat_template, no_chat_template

OF_CHAT = ("system", "prefill")
"""What only a chat has."""

Config = Mapping[str, Any]


def text_settings(config: Config, dataset: str, perturbation: str) -> dict[str, Any]:
    """Return what a rendering does to the prompts of a dataset: what stands before texts, and words of its own."""
    entry = config["perturbations"][perturbation]
    own = {"template": overrides(entry, dataset)}
    return in_order(_noise(entry) | (own if any(own.values()) else {}))


def _noise(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is drawn before texts, if anything is."""
    return chosen_keys(entry, ["prepend", "seed"]) if entry.get("prepend") else {}


def _words(config: Config, dataset: str, perturbation: str) -> dict[str, str]:
    """Return the words around the texts of a dataset under a rendering, as a template."""
    own = overrides(config["perturbations"][perturbation], dataset)
    return presented(config["datasets"][dataset]["template"], config["prompts"]["instruction"], own)


def template_settings(config: Config, dataset: str, perturbation: str) -> dict[str, Any]:
    """Return what a dataset's own template still says under a rendering."""
    own = overrides(config["perturbations"][perturbation], dataset)
    template = config["datasets"][dataset]["template"]
    return {"template": in_order({key: words for key, words in template.items() if key not in own})}


def instruction_settings(config: Config, dataset: str, perturbation: str) -> dict[str, Any]:
    """Return which instruction is used, if the rendering has none of its own."""
    has_own = "prompt" in overrides(config["perturbations"][perturbation], dataset)
    return {} if has_own else chosen_keys(config["prompts"], ["instruction"])


def prompt_settings(config: Config, dataset: str, perturbation: str) -> list[dict[str, Any]]:
    """Return all that decides the prompts of a dataset under a rendering, but for its statements."""
    settings = (template_settings, instruction_settings, text_settings)
    return [decide(config, dataset, perturbation) for decide in settings]


def chat_settings(config: Config, perturbation: str) -> dict[str, Any]:
    """Return how the model's chat template is applied to the prompts of a rendering; empty if it is not."""
    entry = config["perturbations"][perturbation]
    return chosen_keys(entry, sorted(["chat", *OF_CHAT])) if entry.get("chat") else {}


def all_renderings(config: Config, dataset: str) -> dict[str, Any]:
    """Return what each rendering of the run does to a dataset, chats included, by name."""
    return {
        name: in_order(text_settings(config, dataset, name) | chat_settings(config, name))
        for name in config["run"]["perturbations"]
    }


def rendering_problems(config: Config) -> Iterator[str]:
    """Say which entries are put together wrongly, and which of the run leave a dataset as it would be without them."""
    found: list[str] = []
    for name, entry in config["perturbations"].items():
        problems = list(entry_problems(name, entry, config["datasets"]))
        if not problems and name in config["run"]["perturbations"]:
            problems = [*_nothing_said(name, config), *_words_missing(name, config)]
        found += problems
    yield from found or _said_twice(config)


def entry_problems(name: str, entry: Mapping[str, Any], datasets: Mapping[str, Any]) -> Iterator[str]:
    """Say what is wrong with an entry beyond its schema."""
    where = f"perturbations.{name}"
    for dataset in entry.get("templates", {}):
        if dataset not in datasets:
            close = nearest(dataset, datasets)
            yield f"{where}.templates: {dataset!r} does not exist{close}; datasets has {one_of(datasets)}."
    for key in OF_CHAT:
        if key in entry and not entry.get("chat"):
            yield f"{where}.{key}: there is no chat for it; set `chat: true` beside it, or leave it out."


def _nothing_said(name: str, config: Config) -> Iterator[str]:
    entry = config["perturbations"][name]
    if "templates" not in entry or any(entry.get(key) for key in ("prepend", "template", "chat")):
        return
    for dataset in config["run"]["datasets"]:
        if dataset not in entry["templates"]:
            yield (
                f"perturbations.{name}.templates: nothing for datasets.{dataset}, so that its prompts would be those "
                "of the dataset's own template; add it there, or set a `template` for all datasets."
            )


def _words_missing(name: str, config: Config) -> Iterator[str]:
    for dataset in config["run"]["datasets"]:
        words = _words(config, dataset, name)
        lacking = "prompt" if not words["prompt"].strip() else "cue"
        if lacking == "prompt" or (words["layout"] == "text_between" and not words.get("cue", "").strip()):
            yield (
                f"perturbations.{name}: the `{lacking}` that `{words['layout']}` puts beside the texts of "
                f"datasets.{dataset} is missing or empty; set it in its `template`, or in that of the dataset."
            )


def _said_twice(config: Config) -> Iterator[str]:
    """Find entries of the run that make the same prompts of all datasets: they would be one way under two names."""
    first: dict[str, str] = {}
    for name in config["run"]["perturbations"]:
        prompts = [around(**_words(config, dataset, name)) for dataset in config["run"]["datasets"]]
        noise = _noise(config["perturbations"][name])
        same = first.setdefault(repr((prompts, noise, chat_settings(config, name))), name)
        if same != name:
            yield (
                f"perturbations.{name}: it presents every dataset of the run as {same} does; change it, or leave it "
                "out of run.perturbations."
            )


def chat_problems(config: Config) -> Iterator[str]:
    """Say which models of the run have no chat template that a rendering asks for, as far as their files are here."""
    chats = [name for name in config["run"]["perturbations"] if chat_settings(config, name)]
    for model in config["run"]["models"] if chats else []:
        if known_chat_template(config, model) is False:
            yield from (no_chat_template(model, name) for name in chats)


def known_chat_template(config: Config, model: str) -> bool | None:
    """Tell whether a model has a chat template, None if its files are not here, or others than they were."""
    source = config["models"][model]["source"]
    if "path" in source and Path(source["path"]).is_dir():
        return has_chat_template(Path(source["path"]))
    described = json_of_shape(f"results/models/{model}/model.json", {"source": dict, KEY: bool})
    return described[KEY] if described and described["source"] == pinned(source) else None
