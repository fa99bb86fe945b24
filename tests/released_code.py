"""A second, naive implementation of the released code of Jin et al. (Luckfort/CD), for comparison.

It imports nothing of the workflow and reads nothing of its configuration: source files as ``dataset.py`` loads them,
the prompt that ``main.py`` feeds, one prompt at a time through the whole model, and the scores that it computes. Left
out is noise, which the code does not seed. ``p`` is class 0 and ``n`` is class 1, everywhere in this order.
"""

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score
from sklearn.model_selection import train_test_split

Classes = tuple[list[str], list[str]]
"""Texts or prompts of ``p`` and of ``n``, each in the order of the file."""

PROMPT = "According to the sentence, judge the emotion is Positive or Negative."
"""What ``main.py`` overwrites the prompt of every dataset with."""


# --- dataset.py -------------------------------------------------------------------------------------------


def cities(folder: Path) -> Classes:
    return parted((row["statement"], row["label"] == "1") for row in table(folder / "cities.csv"))


def common(folder: Path) -> Classes:
    rows = [row for row in table(folder / "common_claim.csv") if row["label"] in ("True", "False")]
    return parted(((row["examples"], row["label"] == "True") for row in rows), 3000)


def counterfact(folder: Path) -> Classes:
    return parted(((row["statement"], row["label"] == "1") for row in table(folder / "counterfact.csv")), 2000)


def hateeval(folder: Path) -> Classes:
    frame = pd.read_csv(folder / "hateeval.tsv", sep="\t")
    return parted(zip(frame["text"], frame["HS"] == 1), 3000)


def stsa(folder: Path) -> Classes:
    lines = (folder / "stsa.binary.train").read_text(encoding="utf-8").split("\n")
    return parted((line[2:].strip(), line[0] == "0") for line in lines if line)


def imdb(folder: Path) -> Classes:
    lines = (folder / "imdb_test_first1000_per_class.jsonl").read_text(encoding="utf-8").split("\n")
    rows = [json.loads(line) for line in lines if line]
    return parted(((row["text"], row["label"] == 0) for row in rows), 1000)


def sarcasm(folder: Path) -> Classes:
    rows = [json.loads(line) for line in (folder / "sarcasm.json").open(encoding="utf-8")]
    return parted(((row["headline"], row["is_sarcastic"] == 1) for row in rows), 3000)


def strategyqa(folder: Path) -> Classes:
    rows = json.loads((folder / "StrategyQA_task.json").read_text(encoding="utf-8"))["examples"]
    reasons = [row["target"].removeprefix("Yes.").removeprefix("No.").strip() for row in rows]
    return parted((f"{row['input']} {why}", row["target_scores"]["Yes"] == 1) for row, why in zip(rows, reasons))


def coinflip(folder: Path) -> Classes:
    rows = json.loads((folder / "coin_flip.json").read_text(encoding="utf-8"))["examples"]
    return parted((row["question"], row["answer"] == "yes") for row in rows)


def table(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        yield from csv.DictReader(stream)


def parted(rows, cap: int | None = None) -> Classes:
    """Divide rows of a text and whether it is in ``p``."""
    rows = list(rows)
    return [text for text, in_p in rows if in_p][:cap], [text for text, in_p in rows if not in_p][:cap]


LOADERS: dict[str, Callable[[Path], Classes]] = {
    "geometry_cities": cities,
    "commonclaim": common,
    "counterfact": counterfact,
    "hateeval": hateeval,
    "stsa": stsa,
    "imdb": imdb,
    "sarcasm": sarcasm,
    "strategyqa": strategyqa,
    "coinflip": coinflip,
}
"""By the name that the workflow's registry has for the dataset."""

SARCASM_CUE = (
    "Think carefully according to the sentence. Is there any sarcasm in this sentence? Please answer Yes or No."
)


def filled(name: str, text: str) -> str:
    """Return the prompt of a text: what ``get_prompt`` makes of it with the overwritten prompt."""
    if name in ("geometry_cities", "commonclaim", "counterfact"):
        return PROMPT + " " + text
    if name == "sarcasm":
        return PROMPT + text + " " + SARCASM_CUE
    if name == "strategyqa":
        return PROMPT + text + " " + "Let us think step by step..."
    return text + " " + PROMPT


def prompts(name: str, folder: Path, first: int | None = None) -> Classes:
    """Return the prompts of a dataset, of the ``first`` texts of each class."""
    p, n = LOADERS[name](folder)
    return [filled(name, text) for text in p[:first]], [filled(name, text) for text in n[:first]]


# --- main.py ----------------------------------------------------------------------------------------------


def hidden_states(model, tokenizer, texts: list[str]) -> np.ndarray:
    """Return the output of every ``post_attention_layernorm`` at the last token, (n_layers, n_texts, d_model)."""
    found: list[torch.Tensor] = []
    hooks = [
        layer.post_attention_layernorm.register_forward_hook(lambda module, inputs, output: found.append(output))
        for layer in model.model.layers
    ]
    vectors = []
    for text in texts:
        with torch.no_grad():
            model(**tokenizer(text, return_tensors="pt"))
        vectors.append(torch.stack([states[0, -1] for states in found]).float().numpy())
        found.clear()
    for hook in hooks:
        hook.remove()
    return np.stack(vectors, axis=1)


def split(p, n) -> list:
    """Return training and test items, and training and test labels."""
    labels = np.concatenate([np.zeros(len(p)), np.ones(len(n))])
    return train_test_split(np.concatenate([p, n]), labels, test_size=0.4, random_state=42)


def scores(p: np.ndarray, n: np.ndarray) -> pd.DataFrame:
    """Return accuracy, F1 and AUC of each layer; vectors of a class have the shape (n_layers, n_texts, d_model)."""
    rows = []
    for p_layer, n_layer in zip(p, n):
        train, test, train_labels, test_labels = split(p_layer, n_layer)
        classifier = LogisticRegression().fit(train, train_labels)
        predicted = classifier.predict(test)
        probability = classifier.predict_proba(test)[:, 1]
        rows.append({
            "accuracy": accuracy_score(test_labels, predicted),
            "f1": f1_score(test_labels, predicted),
            "auc": roc_auc_score(test_labels, probability),
        })  # fmt: skip
    return pd.DataFrame(rows)
