"""The model card of an exported folder: Markdown for the Hugging Face hub, from what ``card.json`` says."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from conceptdepth.ground.names import CONCEPT, EMBEDDING, PROBED
from conceptdepth.interface.folders import PROBES, classes_of
from conceptdepth.interface.steering import DEVIATIONS
from conceptdepth.models.checkpoint import NATIVE
from conceptdepth.pages.names import escaped

Card = Mapping[str, Any]

MOST_LAYERS = 3
"""Layers of a curve that are named; card.json has all."""


def readme(card: Card) -> str:
    """Return the whole page. Texts of the configuration are text in it, never marks."""
    return f"---\n{front_matter(card)}\n---\n\n" + "\n".join(_body(card)) + "\n"


def front_matter(card: Card) -> str:
    """Return the metadata of the page, YAML with the hub's keys."""
    from huggingface_hub import EvalResult, ModelCardData

    names, source = card["cell"], card["model"]["source"]
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=names["dataset"],
            dataset_name=card["dataset"]["label"],
            metric_type="accuracy",
            metric_name=f"held out, {', '.join(curve[name] for name in PROBED)}, of a layer that others chose",
            metric_value=curve["held_out_peak"]["accuracy"],
        )
        for curve in card["curves"]
        if curve["held_out_peak"]
    ]
    return str(
        ModelCardData(
            base_model=source.get("hf"),
            datasets=[card["dataset"]["source"]["hf"]] if "hf" in card["dataset"]["source"] else None,
            library_name="conceptdepth",
            license="other",
            license_name="those-of-the-model-and-the-data",
            tags=["probing", "linear-probe", "interpretability", "concept-depth"],
            model_name=f"Probes of {names['dataset']} in {names['model']}",
            eval_results=results or None,
        ).to_yaml()
    ).strip()


def _body(card: Card) -> Iterator[str]:
    names, model, data = card["cell"], card["model"], card["dataset"]
    zero, one = map(escaped, data["classes"])
    yield f"# Linear probes: {escaped(data['label'])} in {escaped(model['label'])}\n"
    yield (
        f"One linear probe for each of the {model['n_layers']} layers of {escaped(model['label'])} "
        f"({escaped(names['quantization'])} weights), and for each split, by the workflow Concept Depth. Class 0 is "
        f"**{zero}**, class 1 **{one}**: a decision above 0 of a probe of the concept says {one}.\n"
    )
    yield from _what(card)
    yield "\n## How good they are\n"
    yield from _accuracies(card)
    yield "\n## Use\n"
    yield from _use(card)
    yield "\n## Steering\n"
    yield from _steering(card)
    yield "\n## Limits\n"
    yield from _limits(card)
    yield "\n## Where they come from\n"
    yield from _origin(card)


def _what(card: Card) -> Iterator[str]:
    data, model, wording = card["dataset"], card["model"], card["rendering"]
    training = card["training"]
    yield f"- Concept: {escaped(data['about'])}"
    licences = {name: escaped(card[name]["licence"]) for name in ("model", "dataset")}
    statements = _sha256(data["statements"])
    yield f"- Data: `{card['cell']['dataset']}`, licence: {licences['dataset']}; statements {statements}"
    for source in data["sources"]:
        yield f"- Made from: `{source['path']}`, {_sha256(source)}"
    yield f"- Model: `{card['cell']['model']}`, licence: {licences['model']}; from {_code(model['source'])}"
    yield f"- Template: {_code(wording['template'])}"
    drawn = _code(wording["perturbation"].get("prepend", []))
    yield f"- Before each text: {f'one of {drawn}, drawn by the id of the statement' if drawn else 'nothing'}"
    yield f"- Chat: {_code(wording['chat']) if wording['chat'] else 'none, plain text'}"
    scaled = "standardised in training, and weights turned back" if training["standardize"] else "as they are"
    yield f"- Features: {scaled}, so that weights are of the model's own vectors; C {_code(training['C'])}"
    yield (
        f"- Splits: {training['split']}, {training['test_share']:g} held out, seeds "
        f"{', '.join(map(str, training['seeds']))}"
    )


def _accuracies(card: Card) -> Iterator[str]:
    yield (
        f"Accuracy on held-out statements, mean over splits, with {100 * card['level']:g} % intervals for the whole "
        "experiment; the best layers of each probe. card.json has every layer.\n"
    )
    yield "| site | position | probe | target | layers | of a layer that other statements chose |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for curve in card["curves"]:
        best = sorted(range(len(curve["accuracy"])), key=lambda layer: -curve["accuracy"][layer])[:MOST_LAYERS]
        layers = "; ".join(
            f"{layer}: {_interval(*(curve[name][layer] for name in ('accuracy', 'low', 'high')))}" for layer in best
        )
        peak = curve["held_out_peak"]
        chosen = _interval(*(peak[name] for name in ("accuracy", "low", "high"))) if peak else "-"
        yield f"| {' | '.join(escaped(curve[name]) for name in (*PROBED, 'target'))} | {layers} | {chosen} |"


def _use(card: Card) -> Iterator[str]:
    first, model = (
        next((each for each in card["curves"] if each["site"] != EMBEDDING), card["curves"][0]),
        card["model"],
    )
    fixed = {"fixed_batch_tokens": model["fixed_batch_tokens"]} if model["weights"] == NATIVE else {}
    usual = {"tokenizer": "class", "trust_remote_code": False, "fixed_batch_tokens": None}
    options = {
        "weights": model["weights"],
        **{name: model[name] for name in ("tokenizer", "trust_remote_code")},
        **fixed,
    }
    given = "".join(
        f", {name}={json.dumps(value) if isinstance(value, str) else value}"
        for name, value in options.items()
        if value != usual.get(name)
    )
    yield f"""```python
from conceptdepth import load_probe, open_model

probe = load_probe("the folder of this file")      # layer {first["peak_layer"]} of {first["site"]}, mean of all splits
model = open_model("results/models/{card["cell"]["model"]}"{given})
probe.score(["A text.", "Another one."], model)    # above 0: class 1
```
"""
    yield (
        f"Without the workflow: `{PROBES}` has float64 tensors "
        "`<site>/<position>/<probe>/<target>/seed_<seed>/directions` (layers, width) and `.../intercepts` (layers). A "
        "decision is vector · direction + intercept, for the vector of the model itself: coefficients are of raw "
        "features, so that no mean or scale is needed."
    )


def _steering(card: Card) -> Iterator[str]:
    if not card["steering"]:
        yield (
            "None. A direction can be added to the residual stream alone, and the run read no site of it: what was "
            "read here is normalised or scaled on its way there. Add `residual` to `activations.sites`, and run again."
        )
        return
    one = escaped(card["dataset"]["classes"][1])
    yield (
        f"Unit vectors towards **{one}**, the mean over splits at length 1 again, as `layer.<i>`; card.json has the "
        "standard deviation (`deviations`) of held-out vectors of the run along the direction of their own split, and "
        "how far the classes' means are apart there (`gaps`), both as means over splits. That "
        "a probe reads a direction does not show that the model uses it.\n"
    )
    for found in card["steering"]:
        yield f"- `{found['file']}`: to add to {escaped(found['where'])}"
        if "lm_eval" in found:
            yield (
                f"- `{found['lm_eval']}`: for lm-evaluation-harness, `--model steered --model_args "
                f"pretrained=...,steer_path=...`: adds {DEVIATIONS:g} standard deviations to the output of "
                f"`{found['hook']}` at every token. It is a pickle, as that tool wants it: take it from nobody you do "
                "not trust."
            )


def _limits(card: Card) -> Iterator[str]:
    controls = sorted({curve["target"] for curve in card["curves"]} - {CONCEPT})
    yield "- A probe shows what can be read from a vector, not what the model does with it."
    yield "- It was trained on texts of one kind in one wording; elsewhere its accuracy is not the one above."
    yield "- The best layer was chosen on the statements it is reported on; the last column above was not."
    if len(card["training"]["seeds"]) > 1:
        yield (
            "- The mean of the splits' probes has hardly any held-out statements of the run: most were trained on in "
            "some split. The accuracies above are means of those of each split's own probe."
        )
    yield f"- Controls in this folder: {', '.join(map(escaped, controls)) or 'none'}."
    for drawn in controls:
        if classes_of(card, drawn) != classes_of(card, CONCEPT):
            yield f"- Labels of {escaped(drawn)} are drawn: neither its class 0 nor its class 1 has a name."
    yield "- Probes of `mlp`, of random weights and of the rerun are never exported."


def _origin(card: Card) -> Iterator[str]:
    origin = card["origin"]
    yield f"- Job: record `{origin['record']}`, ended {origin['ended']}; file `{origin['path']}`, {_sha256(origin)}"
    if origin["git"]:
        yield f"- Code: commit `{origin['git']['commit']}`{' with changes' if origin['git']['dirty'] else ''}"
    yield (
        f"- `conceptdepth audit {origin['path']}`, or of any copy of that file, in the folder of the run follows it "
        "back to the bytes of data, model and code. Nothing was exported that this found changed."
    )


def _interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.2f}" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")


def _sha256(file: Mapping[str, str]) -> str:
    return f"SHA-256 `{file['sha256']}`"


def _code(value: Any) -> str:
    """Show a value as text of Markdown."""
    if isinstance(value, Mapping):
        return ", ".join(f"{escaped(str(key))} {_code(one)}" for key, one in value.items())
    if isinstance(value, list):
        return ", ".join(map(_code, value))
    return escaped(str(value).replace("\n", " "))
