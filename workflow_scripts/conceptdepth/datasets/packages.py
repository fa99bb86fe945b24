"""Files of Python packages, fetched as files: nothing in them is built, installed or imported.

``pip download`` runs the code of an sdist to learn its metadata. Here the pages are read to which pip is configured to
go, as it would go there, and the file of the release is taken that has the pinned SHA-256.
"""

import ast
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urljoin, urlsplit

from conceptdepth.datasets.download import download
from conceptdepth.ground.errors import UserError, explained
from conceptdepth.ground.files import file_sha256

if TYPE_CHECKING:
    import requests

log = logging.getLogger(__name__)

OLD_SDIST = re.compile(r"\.(tar\.bz2|tar\.xz|tgz)$")
"""How sdists were packed before there was one way."""

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

    ``where`` is the key of the configuration, for messages. Raises `UserError` if no page has such a file, or if one
    that might be it does not come. A broken download stays in ``folder`` to be resumed, wrong bytes do not.
    """
    settings = pip_settings()
    session = _session(settings)
    project, _, version = requirement.partition("==")
    pages = pages_of(project, settings)
    links = [link for page in pages for link in _links(page, session) if is_release(link.file, project, version)]
    # Not every page says digests: a file without one is fetched to be looked at, after any that is said to be right.
    likely = sorted((link for link in links if link.sha256 in (None, sha256)), key=lambda link: link.sha256 is None)
    failed = []
    for number, link in enumerate(likely):
        try:
            if path := _right_file(where, link, sha256, folder / str(number), session):
                return path
        except UserError as error:
            log.warning("%s", error)
            failed.append(error)
    if failed:
        raise failed[0]
    known = f"no file that is listed of it has the sha256 {sha256}" if links else "no page lists it"
    places = ", ".join(pages) or "no place, as it is configured"
    raise UserError(f"{where}: cannot get {requirement}: {known}; pip is configured to look at {places}.")


def _right_file(where: str, link: Link, sha256: str, folder: Path, session: "requests.Session") -> Path | None:
    """Return the path of a link's file, or None if it has another digest; ``folder`` is for this link alone.

    Raises `UserError` if the file does not come.
    """
    with explained(f"{where}: {link.address} cannot be read"):
        if path := _local(link.address):
            return path if file_sha256(path) == sha256 else None
        folder.mkdir(exist_ok=True)
        path = download(where, link.address, folder / link.file, session)
        if file_sha256(path) == sha256:
            return path
        path.unlink()  # Or the next attempt would resume it.
        return None


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
        sdist = OLD_SDIST.sub(".tar.gz", file)
        name, found, *_ = parse_wheel_filename(file) if file.endswith(".whl") else parse_sdist_filename(sdist)
        return name == canonicalize_name(project) and found == Version(version)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return False


def pip_settings() -> dict[str, str]:
    """Return the options that pip has from its files and from environment variables."""
    result = _pip("config", "list")
    if result.returncode != 0:
        log.warning("pip cannot say how it is configured: %s", result.stderr.strip())
    sections: dict[str, dict[str, str]] = {"global": {}, "download": {}, ":env:": {}}  # Later ones are stronger.
    for line in result.stdout.splitlines():
        key, _, value = line.partition("=")
        section, _, option = key.rpartition(".")
        if section in sections:
            sections[section][option] = ast.literal_eval(value)
    return {option: value for section in sections.values() for option, value in section.items()}


def default_index() -> str:
    """Return where pip looks unless it is told otherwise, as its own help has it. Raises `UserError` if it does not."""
    found = re.search(r"--index-url <url>.*?\(default\s+(\S+)\)", _pip("download", "--help").stdout, re.DOTALL)
    if found is None:
        raise UserError("pip does not say where it looks for packages; set `index-url` in its configuration.")
    return found[1]


def _pip(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def pages_of(project: str, settings: Mapping[str, str]) -> list[str]:
    """Return the addresses and local paths where pip would look for files of a project."""
    from packaging.utils import canonicalize_name

    indexes = []
    if settings.get("no-index", "").lower() not in ("1", "true", "yes", "on", "y", "t"):
        indexes = [settings.get("index-url") or default_index(), *settings.get("extra-index-url", "").split()]
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
    """Return the files on a page or in a folder. What cannot be read, page or link, has none, and is logged."""
    links: list[Link] = []
    with _passed_over(f"{page} cannot be read"):
        base, addresses = _read(page, session)
        for address, sha256 in addresses:
            with _passed_over(f"{page}: the link {address!r} cannot be read"):
                links.append(_link(_with_login(urljoin(base, address), page), sha256))
    return links


@contextmanager
def _passed_over(what: str) -> Iterator[None]:
    """Log what goes wrong, and go on."""
    try:
        with explained(what):
            yield
    except UserError as error:
        log.warning("%s", error)


def _link(address: str, sha256: str | None) -> Link:
    parts = urlsplit(address)
    said = re.search(r"(?:^|&)sha256=([0-9a-f]{64})(?:&|$)", parts.fragment)
    return Link(Path(unquote(parts.path)).name, address, sha256 or (said[1] if said else None))


def _read(page: str, session: "requests.Session") -> tuple[str, list[tuple[str, str | None]]]:
    """Return what addresses on a page are relative to, and the addresses, each with its SHA-256 where that is known."""
    path = _local(page)
    if path is None:
        reply = session.get(page, headers={"Accept": f"{JSON}, text/html;q=0.1"}, timeout=60)
        if reply.status_code == 404:  # Not every index has every project.
            return page, []
        reply.raise_for_status()
        read = _of_json if reply.headers.get("Content-Type", "").startswith(JSON) else _of_html
        return read(reply.text, reply.url)
    path = path / "index.html" if (path / "index.html").is_file() else path
    if path.is_dir():
        return page, [(file.resolve().as_uri(), None) for file in sorted(path.iterdir())]
    return _of_html(path.read_text(encoding="utf-8"), path.resolve().as_uri()) if path.is_file() else (page, [])


def _of_json(text: str, page: str) -> tuple[str, list[tuple[str, str | None]]]:
    files = [file for file in json.loads(text)["files"] if isinstance(file, dict) and "url" in file]
    return page, [(file["url"], (file.get("hashes") or {}).get("sha256")) for file in files]


def _of_html(text: str, page: str) -> tuple[str, list[tuple[str, str | None]]]:
    found: dict[str, list[str]] = {"a": [], "base": []}

    class Anchors(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.get(tag, []).extend(value for name, value in attrs if name == "href" and value)

    Anchors().feed(text)
    base = urljoin(page, found["base"][0]) if found["base"] else page
    return base, [(address, None) for address in found["a"]]


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
