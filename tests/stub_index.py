"""A stub of a package index on the loopback interface, and packages for it."""

import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StubIndex:
    """Serves the files that it is given, and a page of each project, as HTML or as JSON to those who ask for it."""

    def __init__(self, *, speaks_json: bool = True) -> None:
        self.files: dict[str, bytes] = {}
        self.speaks_json = speaks_json
        self.says_digests = True
        self.login = ""
        """``Authorization`` that is asked for, if any."""
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.host = f"127.0.0.1:{self._server.server_port}"
        self.url = f"http://{self.host}/simple"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, accept: str) -> tuple[int, str, bytes]:
        """Return status, type and body of a path."""
        _, kind, *rest = path.split("/")
        if kind == "files" and rest[0] in self.files:
            return 200, "application/octet-stream", self.files[rest[0]]
        own = {name: content for name, content in self.files.items() if name.lower().startswith(rest[0])}
        if kind != "simple" or not own:
            return 404, "text/html", b"nothing"
        if self.speaks_json and "json" in accept:
            files = [
                {"filename": name, "url": f"/files/{name}", "hashes": {"sha256": digest} if digest else {}}
                for name, digest in self._digests(own)
            ]
            return 200, "application/vnd.pypi.simple.v1+json", json.dumps({"files": files}).encode()
        anchors = [
            f'<a href="../../files/{name}{f"#sha256={digest}" if digest else ""}">{name}</a>'
            for name, digest in self._digests(own)
        ]
        return 200, "text/html", f"<!DOCTYPE html><html><body>{''.join(anchors)}</body></html>".encode()

    def _digests(self, files):
        return [(name, sha256(content) if self.says_digests else "") for name, content in files.items()]


def _handler(index: StubIndex) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # noqa: N802  The server calls it so.
            index.asked.append(self.path)
            if index.login and self.headers.get("Authorization") != index.login:
                status, kind, body = 401, "text/plain", b"who are you?"
            else:
                status, kind, body = index.answer(self.path, self.headers.get("Accept", ""))
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            if status == 200 and start:
                status, body = (206, body[start:]) if start < len(body) else (416, b"")
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def sdist(name: str, version: str, files: dict[str, bytes]) -> bytes:
    """Return an sdist with files in its folder."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(f"{name}-{version}/{path}")
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def sdist_that_runs(marker: str) -> bytes:
    """Return an sdist of ``demo==1.0`` whose code, wherever it is run, leaves a file; with ``data.txt`` in it."""
    leave = f"open({marker!r}, 'w').close()\n"
    return sdist(
        "demo",
        "1.0",
        {
            "PKG-INFO": b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n",
            "pyproject.toml": b'[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
            "backend.py": leave.encode(),
            "setup.py": leave.encode(),
            "data.txt": b"data\n",
        },
    )


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
