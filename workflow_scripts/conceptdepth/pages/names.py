"""What readers call the models, datasets and other names of a run, as text of Markdown or of LaTeX."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from conceptdepth.figures.words import word

MARKS = re.compile(r"([\\`*_\[\]<>&|~$])")
"""Characters that Markdown, or HTML in it, could take for more than text."""


@dataclass(frozen=True)
class Names:
    """Readers' names of models and datasets, in the order of the run."""

    models: Mapping[str, str]
    datasets: Mapping[str, str]

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Names":
        """Return the names of a configuration as they are."""
        return cls(
            *({name: config[key][name]["label"] for name in config["run"][key]} for key in ("models", "datasets"))
        )

    def escaped(self) -> "Names":
        """Return the same for Markdown."""
        return Names(
            *({name: escaped(label) for name, label in labels.items()} for labels in (self.models, self.datasets))
        )

    def concept(self, row: Mapping[str, Any]) -> str:
        """Name the concept of a curve, and its model if the run has several."""
        label = self.datasets[row["dataset"]]
        return f"{label} in {self.models[row['model']]}" if len(self.models) > 1 else label


def escaped(text: str) -> str:
    """Return a text on one line so that Markdown shows it as it is."""
    return MARKS.sub(r"\\\1", text)


def unescaped(text: str) -> str:
    """Return what `escaped` was given, and plain Markdown without its marks."""
    return re.sub(r"\\(.)|[*`]", lambda found: found[1] or "", text)


def words(names: Iterable[str]) -> str:
    """Name what the configuration names, in readers' words."""
    return ", ".join(map(word, names))


def some(texts: Sequence[str], most: int = 3) -> str:
    """Name the first of some texts, and say how many more there are."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
