"""Load a model and say whether it is read right: what is read where, and how far that is from the plain model."""

import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from conceptdepth.configuration.origins import layers
from conceptdepth.ground.errors import UsageError, one_of
from conceptdepth.interface.opened import DEVICES, HUB_ID

WIDTH = 12
"""Columns of the names of lines."""


def run(model: str, arguments: Sequence[str], *, quantization: str, device: str | None) -> int:
    """Check a model in a weight format, in the configuration that these arguments of Snakemake lead to."""
    from conceptdepth.models.formats import QUANTIZATIONS

    for option, value, allowed in (("--format", quantization, QUANTIZATIONS), ("--device", device, DEVICES)):
        if value is not None and value not in allowed:
            raise UsageError(f"{option}: {value!r} does not exist; allowed are {one_of(allowed)}.")
    _quiet()
    config = layers(arguments).config
    with TemporaryDirectory(prefix="conceptdepth-check-") as scratch:
        entry, description = _fetched(model, config, Path(scratch), quantization)
        for name, words in _report(_name(model), entry, description, quantization, _how(config, device)):
            print(f"{name:{WIDTH}}{words}", flush=True)
    return 0


def _how(config: Mapping[str, Any], device: str | None) -> dict[str, Any]:
    """Return how a job of this configuration would load a model."""
    execution = config["execution"]
    return {
        "device": device or execution["device"],
        "max_memory": execution.get("max_memory"),
        "scratch": execution["scratch"],
    }


def _quiet() -> None:
    """Let libraries say nothing but errors: what they warn of is what is checked here."""
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger().setLevel(logging.ERROR)


def _fetched(model: str, config: Mapping[str, Any], scratch: Path, quantization: str) -> tuple[Mapping[str, Any], Path]:
    """Return the entry of a model, and where its ``model.json`` is: that of a run, or one of its own."""
    from conceptdepth.models.fetch import fetch_model

    entry = config["models"].get(model) or {"source": _source(model, config["models"])}
    trusted = entry.get("trust_remote_code", False)
    made = Path(f"results/models/{model}/model.json")
    if made.is_file() and not trusted and _is_of(made, entry["source"]):  # Code may not have come then.
        return entry, made
    description = scratch / "model.json"
    fetch_model(
        _name(model),
        entry["source"],
        description,
        config["source_mirror"],
        formats=[quantization],
        trust_remote_code=trusted,
    )
    return entry, description


def _is_of(description: Path, source: Mapping[str, Any]) -> bool:
    """Tell whether a ``model.json`` is of a source, whose digest it may have beside it."""
    from conceptdepth.models.weights import read_description

    return source.items() <= read_description(description)["source"].items()


def _name(model: str) -> str:
    """Return what errors call a model: its name, or the last part of where it is from."""
    return Path(model).resolve().name


def _source(model: str, registry: Mapping[str, Any]) -> dict[str, str]:
    """Return the source of a model that is not in the registry."""
    if Path(model).exists():
        return {"path": model}
    if HUB_ID.fullmatch(model):
        return {"hf": model}
    raise UsageError(
        f"{model!r} is neither in the registry, which has {one_of(registry)}, nor a folder, nor a repository of the "
        "hub, owner/name."
    )


def _report(
    name: str, entry: Mapping[str, Any], description: Path, quantization: str, how: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    """Yield what is found out about a model, as names and words."""
    from conceptdepth.activations.self_test import different
    from conceptdepth.activations.tested import TEXTS, fixed_prompts, self_tested
    from conceptdepth.models.devices import tokens_of_a_pass
    from conceptdepth.models.loaded import LoadedModels, ModelRequest
    from conceptdepth.models.places import why_absent
    from conceptdepth.models.sites import SITES

    request = ModelRequest(
        model=str(description),
        name=name,
        quantization=quantization,
        **how,
        trust_remote_code=entry.get("trust_remote_code", False),
        tokenizer=entry.get("tokenizer", "class"),
    )
    with LoadedModels().use(request) as model:
        yield from _of_the_model(model)
        tokens = fixed_prompts(model)
        yield from _of_the_tokens(model, TEXTS[1], tokens[1])
        long = _around_limits(model, tokens)
        absent = why_absent(model.body, SITES, different(tokens), model.name)
        sites = [site for site in SITES if site not in absent]
        test = self_tested(model, [*tokens, *long], sites=sites, batch_tokens=tokens_of_a_pass(model.body))
        yield from _of_the_sites(model, sites, absent)
        yield from _of_the_test(test, [*map(len, tokens), *map(len, long)])
        yield "verdict", "supported: what is read is what the plain model computes"


def _around_limits(model: Any, tokens: Sequence[list[int]]) -> list[list[int]]:
    """Return prompts as long as each limit beyond which the model reads otherwise, and a token longer."""
    from conceptdepth.models.limits import most_tokens, reading_limits

    config = model.body.config.get_text_config()
    most = most_tokens(config) or sys.maxsize
    filler = max(tokens, key=len)
    lengths = [limit + more for limit in reading_limits(config) for more in (0, 1)]
    return [(filler * (length // len(filler) + 1))[:length] for length in lengths if length <= most]


def _of_the_test(test: Any, lengths: Sequence[int]) -> Iterator[tuple[str, str]]:
    yield "passes", test.layout.name
    yield "self-test", f"{len(lengths)} prompts of {min(lengths)} to {max(lengths)} tokens; largest difference from the"
    yield "", f"plain model, relative to the vector ({test.tolerance:g} is rounding):"
    for site, found in sorted(test.differences.items()):
        yield "", f"{site} {found.max():.1g} (layer {found.argmax()})"


def _of_the_model(model: Any) -> Iterator[tuple[str, str]]:
    from conceptdepth.models.limits import most_tokens
    from conceptdepth.models.sites import blocks

    config = model.body.config.get_text_config()
    listed = blocks(model.body, model.name)
    path, most = _path(model, listed), most_tokens(config)
    yield "model", f"{model.name}, {type(model.causal).__name__} ({model.causal.config.model_type})"
    yield "weights", f"{model.real_format} on {model.causal.device}, {model.causal.num_parameters():,} parameters"
    yield "layers", f"{len(listed)} of width {config.hidden_size}, {path}.0 to {path}.{len(listed) - 1}"
    yield "prompts", f"at most {most:,} tokens" if most else "of any length"


def _path(model: Any, wanted: Any) -> str:
    """Return where a module is in the whole model."""
    return next(path for path, module in model.causal.named_modules() if module is wanted)


def _of_the_sites(model: Any, sites: Sequence[str], absent: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    from conceptdepth.models.places import places_of, words_of
    from conceptdepth.models.sites import SITES, blocks

    places, path = places_of(model.body, sites, model.name), _path(model, blocks(model.body, model.name))
    for site in SITES:
        if site in absent:
            yield "site", f"{site}: none; {absent[site].partition('because ')[2].partition(';')[0]}"
        else:
            yield "site", f"{site}: {words_of(places, site, f'{path}.N')}"


def _of_the_tokens(model: Any, text: str, tokens: Sequence[int]) -> Iterator[tuple[str, str]]:
    words = model.tokenizer.convert_ids_to_tokens(tokens)
    yield "tokens", f"{' | '.join(map(str, words))}  (of {text!r}, by {type(model.tokenizer).__name__})"
    yield "probed", f"{words[-1]}  (token {len(words)} of {len(words)})"
