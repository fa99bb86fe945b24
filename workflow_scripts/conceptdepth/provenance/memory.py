"""Where Snakemake remembers what was made.

Snakemake keeps the params and input checksums behind each output in ``.snakemake/metadata``, by path from the
working folder. Without that memory a fresh clone with copied results would recompute what only has a new time
stamp, and would not notice a changed setting.
"""

import shutil
from pathlib import Path

METADATA = Path(".snakemake/metadata")
TRAVELLING = Path("results/.snakemake")


def keep_memory_in_results() -> None:
    """Let ``.snakemake/metadata`` be a link into ``results/``, so that the memory goes where results are copied.

    Called from the Snakefile, before Snakemake opens the folder, in the folder that it works in.
    """
    TRAVELLING.mkdir(parents=True, exist_ok=True)
    # Without it Snakemake would take the memory for that of an old version.
    (METADATA.parent / "incomplete").mkdir(parents=True, exist_ok=True)
    if METADATA.is_dir() and not METADATA.is_symlink():
        for file in METADATA.iterdir():
            shutil.move(file, TRAVELLING / file.name)  # Results may lie on another disk.
        METADATA.rmdir()
    if not METADATA.is_symlink():
        METADATA.symlink_to(Path("..") / TRAVELLING)
