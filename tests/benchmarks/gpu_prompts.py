"""Token ids of the prompts of gpu.py: a file that can travel to a machine without tokenizer and sources."""

import json
from pathlib import Path

import numpy as np

WORKLOADS = ("cities", "strategyqa", "imdb")
"""Many short prompts that share much; questions behind a long instruction; long texts that share nothing."""


def read_prompts(file: Path, size: float) -> dict[str, list[list[int]]]:
    """Return the token ids of the first prompts of each workload, a share of them."""
    workloads = json.loads(file.read_text(encoding="utf-8"))
    return {name: prompts[: max(1, round(size * len(prompts)))] for name, prompts in workloads.items()}


def write_prompts(file: Path, tokenizer_folder: Path, sources: Path) -> None:
    """Write the token ids of Cities, StrategyQA and IMDb as the paper asks them, {workload: [[id, ...], ...]}."""
    missing = [str(path) for path in (tokenizer_folder, sources) if not path.is_dir()]
    if missing:
        raise SystemExit(
            f"There is no {' and no '.join(missing)} to make the prompts of; `make run` gets the tokenizer."
        )
    import pandas as pd
    from bench import IMDB, STRATEGY_QA
    from conceptdepth.datasets.parsers import strategyqa
    from conceptdepth.models.loading import load_tokenizer
    from conceptdepth.models.tokens import tokenize

    cities = pd.read_csv(sources / "cities.csv")["statement"]
    questions = list(strategyqa(sources / "StrategyQA_task.json", rationale=True))[:400]
    lines = (sources / "imdb_test_first1000_per_class.jsonl").read_text("utf-8").rstrip("\n").split("\n")
    reviews = [json.loads(line) for line in lines]  # The classes stand one after the other.
    texts = {
        "cities": [f"Judge the statement is True or False. {statement}" for statement in cities],
        "strategyqa": [f"{STRATEGY_QA}{row['text']} Let us think step by step..." for row in questions],
        "imdb": [f"{review['text']} {IMDB}" for review in (*reviews[:200], *reviews[-1000:-800])],
    }
    tokenizer = load_tokenizer(tokenizer_folder)
    tokens = {name: tokenize(tokenizer, prompts) for name, prompts in texts.items()}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(tokens, separators=(",", ":")), encoding="utf-8")


def made_up_prompts() -> dict[str, list[list[int]]]:
    """Return twelve prompts of random ids for each workload, which share as much as those of its name."""
    draw = np.random.default_rng(0)

    def ids(number: int) -> list[int]:
        return draw.integers(3, 512, number).tolist()

    cities = [[*head, *ids(1 + n % 3)] for head in (ids(6), ids(6)) for n in range(6)]
    instruction = ids(40)
    questions = [instruction + ids(5 + n % 4) for n in range(12)]
    return {"cities": cities, "strategyqa": questions, "imdb": [ids(60 + 7 * n) for n in range(12)]}
