"""Records of made-up jobs, and the files that they are of."""

import json
from datetime import UTC, datetime, timedelta

from conceptdepth.ground.files import file_sha256
from conceptdepth.pages.finished import others, results_of_run
from conceptdepth.provenance.record import FORMAT, FORMAT_VERSION

START = datetime(2026, 1, 1, 12, tzinfo=UTC)


def job(start, end, seconds=None):
    first, last = (START + timedelta(seconds=n) for n in (start, end))
    return {
        "started": first.isoformat(),
        "ended": last.isoformat(),
        "seconds": end - start if seconds is None else seconds,
    }


class Results:
    """A folder of results whose records say what was made from what."""

    def __init__(self, folder):
        self.folder = folder

    def record(self, rule, outputs=(), upstream=(), inputs=(), time=0):
        """Write a job's outputs and its record."""
        for path in outputs:
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(rule)
        described = [[{"path": path, "bytes": 1, "sha256": "0"} for path in paths] for paths in (inputs, outputs)]
        record = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "id": "0", "rule": rule, "wildcards": {}, "params": {},
            "code": {"files": {}}, "software": {}, "inputs": described[0], "outputs": described[1],
            "upstream": [{"path": self.path(one), "sha256": file_sha256(self.folder / self.path(one))} for one in upstream],
            "environment": {"python": "3", "versions": {}, "cpu": "x"}, "git": None, **job(time, time + 1),
        }  # fmt: skip
        path = self.folder / self.path(rule)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))

    @staticmethod
    def path(rule):
        return f"results/provenance/{rule}.json"

    def others(self):
        return others(self.folder, results_of_run(self.folder))


SCORES, OWN, OLD, ASKED = (
    "results/tables/layer_scores.csv", "results/figures/accuracy.png", "results/figures/perturbations.png", "results/tables/direct_answers.csv",
)  # fmt: skip
