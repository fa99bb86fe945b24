"""Fetching: pinned, checksummed, complete or absent. Servers are real ones on the loopback interface."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import pytest
from conceptdepth.datasets import sources
from conceptdepth.datasets.sources import fetch_file, file_name
from conceptdepth.ground.errors import UserError
from fetch_source import check_licence

CONTENT = bytes(range(256)) * 4000


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves CONTENT with ranges; breaks off in the middle as often as the server's ``breaks`` says.

    It says the length that it sends, or the server's ``length``.
    """

    def do_GET(self):  # noqa: N802
        start = int(self.headers.get("Range", "bytes=0-")[6:-1])
        self.server.starts.append(start)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", self.server.length or str(len(CONTENT) - start))
        self.end_headers()
        if self.server.breaks:
            self.server.breaks -= 1
            self.wfile.write(CONTENT[start : start + len(CONTENT) // 3])
        else:
            self.wfile.write(CONTENT[start:])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.breaks, httpd.starts, httpd.length = 0, [], ""
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield httpd
        httpd.shutdown()


def url_source(server, content=CONTENT):
    return {"url": f"http://127.0.0.1:{server.server_port}/folder/data%20file.bin", "sha256": sha(content)}


def test_a_url_is_downloaded(server, tmp_path):
    fetch_file("datasets.x", url_source(server), tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_length_that_is_no_number_is_no_length(server, tmp_path):
    server.length = "unknown"
    fetch_file("datasets.x", url_source(server), tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_broken_download_goes_on_where_it_broke_off(server, tmp_path):
    server.breaks = 2
    fetch_file("datasets.x", url_source(server), tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.starts[0] == 0
    assert server.starts[2] > server.starts[1] > 0


def test_a_download_that_never_completes_leaves_nothing_under_the_name_and_the_next_goes_on(server, tmp_path):
    server.breaks = 3
    with pytest.raises(UserError, match="cannot download .* put the file into `source_mirror` instead"):
        fetch_file("datasets.x", url_source(server), tmp_path / "out", None)
    assert not (tmp_path / "out").exists()
    fetch_file("datasets.x", url_source(server), tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.starts[3] > server.starts[2]


def test_wrong_bytes_are_refused(server, tmp_path):
    with pytest.raises(UserError, match=r"datasets.x.source: data file.bin has the sha256 .*, but the registry says"):
        fetch_file("datasets.x", url_source(server, b"other"), tmp_path / "out", None)
    assert list(tmp_path.iterdir()) == []


def test_the_mirror_is_looked_in_first_and_checked(server, tmp_path):
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (mirror / "data file.bin").write_bytes(CONTENT)
    fetch_file("datasets.x", url_source(server), tmp_path / "out", str(mirror))
    assert (tmp_path / "out").read_bytes() == CONTENT
    assert server.starts == []
    (mirror / "data file.bin").write_bytes(b"something else")
    fetch_file("datasets.x", url_source(server), tmp_path / "again", str(mirror))
    assert server.starts == [0]


def test_a_package_is_found_in_the_mirror_whatever_its_spelling(tmp_path):
    (tmp_path / "My_Package-1.0-py3-none-any.whl").write_bytes(CONTENT)
    fetch_file("datasets.x", {"pypi": "my-package==1.0", "sha256": sha(CONTENT)}, tmp_path / "out", str(tmp_path))
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_member_of_an_archive_in_an_archive(tmp_path):
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w:gz") as tar:
        info = tarfile.TarInfo("folder/text.txt")
        info.size = len(CONTENT)
        tar.addfile(info, io.BytesIO(CONTENT))
    with zipfile.ZipFile(tmp_path / "outer.whl", "w") as outer:
        outer.writestr("data/inner.tar.gz", inner.getvalue())
    source = {"path": str(tmp_path / "outer.whl"), "member": "data/inner.tar.gz!folder/text.txt"}
    assert file_name(source) == "text.txt"
    fetch_file("datasets.x", source, tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == CONTENT
    with pytest.raises(UserError, match="outer.whl has no member 'data/none'"):
        fetch_file("datasets.x", source | {"member": "data/none"}, tmp_path / "out", None)


def test_a_missing_local_file_is_an_error(tmp_path):
    with pytest.raises(UserError, match="datasets.x.source.path: there is no file 'nowhere.csv'"):
        fetch_file("datasets.x", {"path": "nowhere.csv"}, tmp_path / "out", None)


def test_a_package_that_is_nowhere_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(
        UserError, match=rf"^datasets.x.source.pypi: cannot get no-such==1: no page lists it; .* {tmp_path}"
    ):
        fetch_file("datasets.x", {"pypi": "no-such==1", "sha256": sha(b"")}, tmp_path / "out", None)


def test_of_a_folder_of_packages_the_file_that_has_the_hash_is_taken(tmp_path, monkeypatch):
    """A local index stands for the real one: two files of a release, of which the registry pins the second."""
    index = tmp_path / "index"
    index.mkdir()
    for tag, content in (("py2", b"wrong"), ("py3", CONTENT)):
        with zipfile.ZipFile(index / f"demo-1.0-{tag}-none-any.whl", "w") as wheel:
            wheel.writestr("demo/data.bin", content)
            wheel.writestr("demo-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n")
            wheel.writestr(
                "demo-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}-none-any\n"
            )
            wheel.writestr("demo-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    digest = sha((index / "demo-1.0-py3-none-any.whl").read_bytes())
    fetch_file("datasets.x", {"pypi": "demo==1.0", "sha256": digest, "member": "demo/data.bin"}, tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_hub_files_are_fetched_at_their_revision(tmp_path, monkeypatch):
    """The hub's client is replaced: no hub can be reached here."""
    import huggingface_hub

    asked = {}

    def stub_download(repo, file, *, repo_type, revision):
        asked.update(repo=repo, file=file, repo_type=repo_type, revision=revision)
        (tmp_path / "cached").write_bytes(CONTENT)
        return str(tmp_path / "cached")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", stub_download)
    source = {"hf": "a/b", "file": "data/test.parquet", "revision": "c" * 40, "sha256": sha(CONTENT)}
    fetch_file("datasets.x", source, tmp_path / "out", None)
    assert asked == {"repo": "a/b", "file": "data/test.parquet", "repo_type": "dataset", "revision": "c" * 40}
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_a_licence_that_asks_for_it_must_be_accepted():
    entry = {"licence": "CC BY-NC 4.0"}
    check_licence("x", entry)
    check_licence("x", entry | {"accept_licence": True})
    with pytest.raises(
        UserError, match="datasets.x: read its licence, CC BY-NC 4.0, and set `datasets.x.accept_licence"
    ):
        check_licence("x", entry | {"accept_licence": False})


def test_names_of_downloads():
    assert sources.download_name({"url": "https://example.org/a/b%20c.csv?x=1"}) == "b c.csv"
    assert sources.file_name({"pypi": "demo==1.0", "member": "demo/data.bin"}) == "data.bin"
