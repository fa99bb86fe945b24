"""Training the probes of all layers, and the table of their scores."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from joblib import Parallel, delayed
from numpy.typing import NDArray
from sklearn import config_context
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from conceptdepth.ground.names import CONCEPT, PROBED
from conceptdepth.probes.estimators import Features, ProbeSettings
from conceptdepth.probes.tasks import CONTROL_TASK, Task
from conceptdepth.probes.training import LayerProbe, train_layer

PROBE = [*PROBED, "layer", "seed"]
"""Columns that name a probe in a cell, whatever its target."""


class Layers(Protocol):
    """Vectors of every layer, of shape (n_layers, n_statements, d_model), on disk or in memory."""

    def __len__(self) -> int: ...
    def __getitem__(self, layer: int, /) -> NDArray[np.floating]: ...


def train_layers(
    vectors: Layers, tasks: Sequence[Task], settings: ProbeSettings, threads: int, title: str
) -> list[list[LayerProbe]]:
    """Train all probes of all layers, layers in parallel, each read from the file once."""

    def train(features: Features) -> list[LayerProbe]:
        # Arguments are those of a checked configuration; scikit-learn's checks of them take as long as a fit.
        with threadpool_limits(1), config_context(skip_parameter_validation=True):
            return list(train_layer(features, tasks, settings))

    # Processes, not threads: warnings of solvers that did not converge cannot be told apart between threads.
    return Parallel(n_jobs=threads)(
        delayed(train)(vectors[layer]) for layer in tqdm(range(len(vectors)), desc=title, unit="layer", mininterval=5)
    )


def rows_of(layers: Sequence[LayerProbe], names: Mapping[str, str], seed: int) -> list[dict[str, Any]]:
    """Return the scores of all layers of one probe, target and split."""
    alike = {"n_layers": len(layers), "seed": seed}
    return [{**names, "layer": layer, **alike, **probe.scores} for layer, probe in enumerate(layers)]


def with_selectivity(table: pd.DataFrame) -> pd.DataFrame:
    """Add ``selectivity`` to the rows of the concept: accuracy minus that of the same probe on the control task.

    It is NaN for controls, and where no control task was trained.
    """
    control = table[table["target"] == CONTROL_TASK].set_index(PROBE)["accuracy"]
    others = control.reindex(pd.MultiIndex.from_frame(table[PROBE])).to_numpy()
    return table.assign(selectivity=(table["accuracy"] - others).where(table["target"] == CONCEPT))
