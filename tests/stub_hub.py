"""A stub of the Hugging Face hub, since no hub can be reached where tests run: the real client talks to it over HTTP."""

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

LARGE = (".safetensors", ".bin", ".model")
"""How files end that the stub names by their SHA-256, as the hub does with those in Git LFS; others it names as git does."""


class StubHub:
    """One repository, ``owner/open``, whose branch ``main`` is the last of its commits."""

    def __init__(self) -> None:
        self.commits: dict[str, Mapping[str, bytes]] = {}
        self.sent: list[str] = []
        """Names of the files whose bytes were sent."""
        self.corrupted: set[str] = set()
        """Names of files of which other bytes are sent than were promised, and as many."""
        self.gated = False
        self.tokens: set[str | None] = set()
        """What clients have said who they are."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def use(self, monkeypatch, cache: Path) -> None:
        """Let the hub's client of this process ask this hub, with a cache of its own."""
        import huggingface_hub.constants as constants

        url = f"http://127.0.0.1:{self._server.server_port}"
        monkeypatch.setattr(constants, "ENDPOINT", url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def close(self) -> None:
        """Be unreachable from now on."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers and body for a path, as far as the client needs them."""
        found = re.match(r"/(?:api/models/)?owner/open/(revision|tree|resolve)/(\w+)/?([^?]*)", path)
        commit = list(self.commits)[-1] if found and found[2] == "main" else found and found[2]
        if commit not in self.commits:
            return 404, {"X-Error-Code": "RevisionNotFound"}, b""
        files = self.commits[commit]
        if found[1] == "revision":
            return 200, {}, json.dumps({"id": "owner/open", "sha": commit, "siblings": _siblings(files)}).encode()
        if found[1] == "tree":
            return 200, {}, json.dumps(_tree(files)).encode()
        if self.gated:
            return 401, {"X-Error-Code": "GatedRepo"}, b""
        return 200, {"X-Repo-Commit": commit, "ETag": f'"{_name(found[3], files)}"'}, files[found[3]]


def _handler(hub: StubHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:  # noqa: N802  The server calls it so.
            self._send(b"")

        def do_GET(self) -> None:  # noqa: N802
            self._send(None)

        def _send(self, instead: bytes | None) -> None:
            hub.tokens.add(self.headers.get("Authorization"))
            status, headers, body = hub.answer(self.path)
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(key, value)
            self.end_headers()
            if instead is None and "/resolve/" in self.path:
                name = self.path.partition("/resolve/")[2].partition("/")[2]
                hub.sent.append(name)
                body = bytes(len(body)) if name in hub.corrupted else body
            self.wfile.write(body if instead is None else instead)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def git(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _name(file: str, files: Mapping[str, bytes]) -> str:
    return (sha256 if file.endswith(LARGE) else git)(files[file])


def _siblings(files: Mapping[str, bytes]) -> list[dict]:
    """List files as the page of a revision does."""
    return [
        {"rfilename": name, "size": len(content), "blobId": git(content)}
        | ({"lfs": {"sha256": sha256(content), "size": len(content), "pointerSize": 1}} if name.endswith(LARGE) else {})
        for name, content in files.items()
    ]


def _tree(files: Mapping[str, bytes]) -> list[dict]:
    """List files as the tree of a commit does."""
    return [
        {"type": "file", "path": name, "size": len(content), "oid": git(content)}
        | ({"lfs": {"oid": sha256(content), "size": len(content), "pointerSize": 1}} if name.endswith(LARGE) else {})
        for name, content in files.items()
    ]
