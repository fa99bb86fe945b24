"""Bytes from an address: resumed where an earlier attempt broke off."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from conceptdepth.ground.errors import UserError

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

ATTEMPTS = 3


def download(where: str, url: str, target: Path, session: "requests.Session | None" = None) -> Path:
    """Download to ``target`` with a progress bar and return it; what is already there is not asked for again.

    ``where`` is the key of the configuration, for messages. Raises `UserError` if the address does not answer.
    """
    import requests  # Not at the top: the Snakefile imports this module only to name files.

    session = session or requests.Session()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _continue(session, url, target)
            return target
        except requests.RequestException as error:
            log.warning("attempt %d of %d: %s", attempt, ATTEMPTS, error)
            last = error
    raise UserError(f"{where}: cannot download {url} ({last}); put the file into `source_mirror` instead.")


def _continue(session: "requests.Session", url: str, target: Path) -> None:
    from tqdm import tqdm

    have = target.stat().st_size if target.exists() else 0
    # Bytes as they lie there: a server may compress what it sends, which has another digest and no ranges.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with session.get(url, headers=headers, stream=True, timeout=60) as reply:
        if reply.status_code == 416:  # Nothing is left to send.
            return
        reply.raise_for_status()
        if reply.status_code != 206:
            have = 0
        length = reply.headers.get("Content-Length", "")
        total = have + int(length) if length.isdecimal() else None
        with (
            target.open("ab" if have else "wb") as stream,
            tqdm(desc=target.name, initial=have, total=total, unit="B", unit_scale=True, mininterval=5) as bar,
        ):
            for block in reply.iter_content(1 << 16):
                stream.write(block)
                bar.update(len(block))
