"""Files of Python packages, fetched as files: nothing in them is built, installed or imported.

``pip download`` runs the code of an sdist to learn its metadata. Here the pages are read to which pip is configured to
go, as it would go there, and the file of the release is taken that has the pinned SHA-256.
"""

import ast
import json
import logging
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from conceptdepth.datasets.download import download
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import file_sha256

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

PUBLIC_INDEX = "https://pypi.org/simple"
"""Where pip looks unless it is told otherwise."""

JSON = "application/vnd.pypi.simple.v1+json"


class Link(NamedTuple):
    """A file on a page of an index."""

    file: str
    address: str
    """URL, ``file:`` or other."""
    sha256: str | None
    """As the page has it."""


def fetch_release_file(where: str, requirement: str, sha256: str, folder: Path) -> Path:
    """Bring the file of ``name==version`` that has a SHA-256 to ``folder``; return its path, there or on a local index.

    ``where`` is the key of the configuration, for messages. Raises `UserError` if no page has such a file.
    """
    settings = pip_settings()
    session = _session(settings)
    project, _, version = requirement.partition("==")
    pages = pages_of(project, settings)
    links = [link for page in pages for link in _links(page, session) if is_release(link.file, project, version)]
    # Not every page says digests: a file without one is fetched to be looked at, after any that is said to be right.
    for link in sorted((link for link in links if link.sha256 in (None, sha256)), key=lambda link: link.sha256 is None):
        path = _local(link.address) or download(where, link.address, folder / link.file, session)
        if file_sha256(path) == sha256:
            return path
    known = f"no file that is listed of it has the sha256 {sha256}" if links else "no page lists it"
    places = ", ".join(pages) or "no place, as it is configured"
    raise UserError(f"{where}: cannot get {requirement}: {known}; pip is configured to look at {places}.")


def is_release(file: str, project: str, version: str) -> bool:
    """Tell whether a file name is that of a wheel or sdist of a release, however name and version are spelt."""
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        canonicalize_name,
        parse_sdist_filename,
        parse_wheel_filename,
    )
    from packaging.version import InvalidVersion, Version

    try:
        name, found, *_ = parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(file)
        return name == canonicalize_name(project) and found == Version(version)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return False


def pip_settings() -> dict[str, str]:
    """Return the options that pip has from its files and from environment variables."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "config", "list"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        log.warning("pip cannot say how it is configured, so that %s is asked: %s", PUBLIC_INDEX, result.stderr.strip())
    sections: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}  # Later ones are stronger.
    for line in result.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in sections:
            sections[section][option] = ast.literal_eval(value)
    return {option: value for section in sections.values() for option, value in section.items()}


def pages_of(project: str, settings: Mapping[str, str]) -> list[str]:
    """Return the addresses and local paths where pip would look for files of a project."""
    from packaging.utils import canonicalize_name

    indexes = [settings.get("index-url", PUBLIC_INDEX), *settings.get("extra-index-url", "").split()]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on", "y", "t"):
        indexes = []
    own = [f"{index.rstrip('/')}/{canonicalize_name(project)}/" for index in indexes]
    return own + settings.get("find-links", "").split()


def _session(settings: Mapping[str, str]) -> "requests.Session":
    """Return a session that goes where pip goes as pip does: proxy, certificates, hosts that need none."""
    import requests

    class Trusting(requests.adapters.HTTPAdapter):
        def cert_verify(self, conn: object, url: str, _: object, cert: object) -> None:
            super().cert_verify(conn, url, False, cert)  # Bytes are held against a digest all the same.

    session = requests.Session()
    session.verify = settings.get("cert", True)
    session.cert = settings.get("client-cert")
    if "proxy" in settings:
        session.proxies = dict.fromkeys(("http", "https"), settings["proxy"])
    for host in settings.get("trusted-host", "").split():
        session.mount(f"https://{host}/", Trusting())
    return session


def _links(page: str, session: "requests.Session") -> list[Link]:
    """Return the files on a page or in a folder. What cannot be read has none, and is logged."""
    try:
        base, addresses = _read(page, session)
    except (OSError, ValueError, KeyError, TypeError) as error:  # Those of requests are OSErrors.
        log.warning("%s cannot be read: %s", page, error)
        return []
    return [_link(_with_login(urljoin(base, address), page), sha256) for address, sha256 in addresses]


def _link(address: str, sha256: str | None) -> Link:
    parts = urlsplit(address)
    kind, _, digest = parts.fragment.partition("=")
    return Link(Path(unquote(parts.path)).name, address, sha256 or (digest if kind == "sha256" else None))


def _read(page: str, session: "requests.Session") -> tuple[str, list[tuple[str, str | None]]]:
    """Return what addresses on a page are relative to, and the addresses, each with its SHA-256 where that is known."""
    path = _local(page)
    if path is None:
        reply = session.get(page, headers={"Accept": f"{JSON}, text/html;q=0.1"}, timeout=60)
        if reply.status_code == 404:  # Not every index has every project.
            return page, []
        reply.raise_for_status()
        read = _of_json if reply.headers.get("Content-Type", "").startswith(JSON) else _of_html
        return reply.url, read(reply.text)
    path = path / "index.html" if (path / "index.html").is_file() else path
    if path.is_dir():
        return page, [(file.resolve().as_uri(), None) for file in sorted(path.iterdir())]
    return path.resolve().as_uri(), _of_html(path.read_text(encoding="utf-8")) if path.is_file() else []


def _of_json(text: str) -> list[tuple[str, str | None]]:
    return [(file["url"], file["hashes"].get("sha256")) for file in json.loads(text)["files"]]


def _of_html(text: str) -> list[tuple[str, str | None]]:
    addresses: list[str] = []

    class Anchors(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            addresses.extend(value for name, value in attrs if (tag, name) == ("a", "href") and value)

    Anchors().feed(text)
    return [(address, None) for address in addresses]


def _with_login(address: str, page: str) -> str:
    """Give a file of the same server the user and password that the page's address has."""
    login, at, host = urlsplit(page).netloc.rpartition("@")
    own = urlsplit(address)
    same = (own.scheme, own.netloc) == (urlsplit(page).scheme, host)
    return own._replace(netloc=f"{login}{at}{host}").geturl() if same else address


def _local(address: str) -> Path | None:
    """Return the path that an address stands for, if it is one on this machine."""
    scheme = urlsplit(address).scheme
    return Path(unquote(urlsplit(address).path)) if scheme == "file" else None if scheme else Path(address)
