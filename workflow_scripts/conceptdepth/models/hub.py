"""Checkpoints of the Hugging Face hub: what it lists, what is fetched of that, and whether the bytes are the hub's.

The hub names each file of a commit by a hash: the SHA-256 of large files, as Git LFS does, and of all others the
SHA-1 that git gives them. Where the hub cannot be asked, what its client holds in its cache is taken, and compared
with the hashes that it kept, if it did.
"""

import glob
import hashlib
import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import file_sha256
from conceptdepth.models.checkpoint import (
    CONFIG,
    INDEX,
    check_checkpoint,
    check_names,
    chosen_files,
    names_in,
    read_json,
)

log = logging.getLogger(__name__)

PATIENCE = 30
"""Seconds to wait for the hub's list of files; its client would wait for ever."""


@dataclass(frozen=True)
class Listing:
    """The files of a repository at a commit."""

    repository: str
    commit: str
    hashes: Mapping[str, str | None]
    """By name of a file, what the hub says of its bytes: ``sha256:...`` or ``git:...``; None where nobody knows."""
    offline: bool = False
    """The hub could not be asked."""


@dataclass(frozen=True)
class Snapshot:
    """What was fetched of a repository."""

    listing: Listing
    folder: Path
    files: Sequence[str]


def fetch_snapshot(
    name: str, repository: str, revision: str, *, formats: Sequence[str], trust_remote_code: bool
) -> Snapshot:
    """Bring what is needed of a repository into the cache of the hub's client, and nothing before it is decided on.

    Raises `UserError` if the repository cannot be got, or if its names and its ``config.json`` are refused.
    """
    with _explained(name, repository, revision):
        listing = _listing(name, repository, revision)
        files = list(listing.hashes)
        check_names(name, files)
        config = read_json(name, _fetched(name, listing, CONFIG))
        index = read_json(name, _fetched(name, listing, INDEX)) if INDEX in files else None
        check_checkpoint(name, config, files, formats=formats, trust_remote_code=trust_remote_code, index=index)
        chosen = chosen_files(files, index, trust_remote_code=trust_remote_code)
        return Snapshot(listing, _cached(listing, chosen), chosen)


@contextmanager
def _explained(name: str, repository: str, revision: str) -> Iterator[None]:
    """Turn what the hub's client raises into sentences."""
    from httpx2 import HTTPError
    from huggingface_hub.errors import GatedRepoError

    try:
        yield
    except GatedRepoError:
        raise UserError(
            f"models.{name}: {repository} is gated; accept its licence at https://huggingface.co/{repository} "
            "and set the variable HF_TOKEN to a token of your account."
        ) from None
    except (HTTPError, OSError) as error:
        raise UserError(
            f"models.{name}: cannot get {repository} at {revision} from the hub ({error}); "
            "on a machine without network, put the weights into a folder and use `path`."
        ) from None


def _listing(name: str, repository: str, revision: str) -> Listing:
    """Ask the hub for its list of files or, where it cannot be reached, look what the cache holds."""
    from httpx2 import HTTPError
    from huggingface_hub import HfApi
    from huggingface_hub.errors import LocalEntryNotFoundError, RevisionNotFoundError

    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=PATIENCE)
    except RevisionNotFoundError:
        raise
    except (HTTPError, OSError) as error:
        try:
            return _listing_of_cache(name, repository, revision, error)
        except LocalEntryNotFoundError:
            raise error from None
    hashes = {file.rfilename: _hash_of(file) for file in info.siblings or ()}
    return Listing(repository, info.sha or revision, hashes)


def _hash_of(file: Any) -> str | None:
    """Return what the hub says of the bytes of a file in its list."""
    if file.lfs is not None:
        return f"sha256:{file.lfs.sha256}"
    return f"git:{file.blob_id}" if file.blob_id else None


def _listing_of_cache(name: str, repository: str, revision: str, reason: Exception) -> Listing:
    """Return what the cache holds of a revision, and which files are not there if the hub's client has kept a list."""
    from huggingface_hub import get_cached_repo_tree, snapshot_download
    from huggingface_hub.errors import CachedRepoTreeNotFoundError

    folder = Path(snapshot_download(repository, revision=revision, local_files_only=True, allow_patterns=[CONFIG]))
    commit = folder.name  # The cache names the folder of a snapshot after its commit.
    try:
        files = [file.path for file in get_cached_repo_tree(repository, revision=commit)]
    except CachedRepoTreeNotFoundError:
        files = names_in(folder)
    log.warning("models.%s: the hub cannot be asked (%s); its cache is taken", name, reason)
    return Listing(repository, commit, {file: _kept_hash(folder / file) for file in files}, offline=True)


def _kept_hash(path: Path) -> str | None:
    """Return what the hub said of the bytes of a file when it came: the cache links to it under this name."""
    digest = path.readlink().name if path.is_symlink() else ""
    kind = {64: "sha256", 40: "git"}.get(len(digest))
    return f"{kind}:{digest}" if kind else None


def _fetched(name: str, listing: Listing, file: str) -> Path:
    """Bring one small file into the cache and compare it: what it says decides what else is fetched."""
    from huggingface_hub import hf_hub_download

    path = hf_hub_download(listing.repository, file, revision=listing.commit, local_files_only=listing.offline)
    _compare(name, listing, file, Path(path))
    return Path(path)


def _cached(listing: Listing, files: Sequence[str]) -> Path:
    from huggingface_hub import snapshot_download

    wanted = [glob.escape(file) for file in files]
    return Path(
        snapshot_download(
            listing.repository,
            revision=listing.commit,
            allow_patterns=wanted,
            local_files_only=listing.offline,
        )
    )


def compared(name: str, snapshot: Snapshot, sha256: Mapping[str, str]) -> dict[str, str]:
    """Compare every file of a snapshot with what the hub says of it, and return that by name.

    ``sha256`` are the digests of the files, which are gigabytes and read once. Raises `UserError` for the first
    that differs.
    """
    found = {
        file: _compare(name, snapshot.listing, file, snapshot.folder / file, sha256[file]) for file in snapshot.files
    }
    return {file: said for file, said in found.items() if said is not None}


def kinds(files: Sequence[str], said: Mapping[str, str]) -> dict[str, int]:
    """Count files by what they were compared with: ``sha256``, ``git`` or ``nothing``."""
    count = Counter(said[file].partition(":")[0] if file in said else "nothing" for file in files)
    return dict(sorted(count.items()))


def _compare(name: str, listing: Listing, file: str, path: Path, sha256: str | None = None) -> str | None:
    """Return what the hub says of a file, None if it says nothing. Raises `UserError` if its bytes are others."""
    said = listing.hashes.get(file)
    if said is None:
        return None
    kind, _, digest = said.partition(":")
    found = (sha256 or file_sha256(path)) if kind == "sha256" else git_hash(path)
    if found != digest:
        raise UserError(
            f"models.{name}: {file} of {listing.repository} has the {kind} hash {found[:12]}..., but the hub says "
            f"{digest[:12]}...; delete {path.resolve()} and run again."
        )
    return said


def git_hash(path: Path) -> str:
    """Return the hash that git gives a file's bytes."""
    content = path.read_bytes()
    # Not for security: a machine whose rules forbid SHA-1 for that may still compute it.
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
