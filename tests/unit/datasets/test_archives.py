"""One file comes out of an archive, and nothing else happens."""

import contextlib
import gzip
import io
import random
import stat
import tarfile
import zipfile

import pytest
from conceptdepth.datasets import archives
from conceptdepth.datasets.archives import extract_member
from conceptdepth.ground.errors import UserError

CONTENT = bytes(range(256)) * 40


def zipped(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return content.getvalue()


def tarred(*entries: tarfile.TarInfo, mode: str = "w:gz", **files: bytes) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for entry in entries:
            archive.addfile(entry)
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return content.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return entry


@pytest.fixture
def extract(tmp_path):
    """Put an archive on disk and take a member out of it."""

    def extract(content: bytes, member: str, name: str = "a.whl") -> bytes:
        (tmp_path / name).write_bytes(content)
        extract_member(tmp_path / name, member, tmp_path / "out", tmp_path)
        return (tmp_path / "out").read_bytes()

    return extract


@pytest.mark.parametrize("mode", ["w:", "w:gz", "w:bz2", "w:xz"])
def test_a_member_of_a_tar_however_packed(extract, mode):
    assert extract(tarred(mode=mode, before=b"x" * 9999, data=CONTENT, after=b"y"), "data") == CONTENT


def test_of_two_members_of_a_name_the_later_one_is_taken(extract):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for data in (b"first", b"second"):
            one = tarfile.TarInfo("data")
            one.size = len(data)
            archive.addfile(one, io.BytesIO(data))
    assert extract(content.getvalue(), "data") == b"second"


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_member_of_archives_in_archives(extract, depth):
    content, member = zipped(data=CONTENT), "data"
    for level in range(depth):
        content, member = (tarred if level % 2 else zipped)(inner=content), f"inner!{member}"
    assert extract(content, member) == CONTENT
    with pytest.raises(UserError, match=r"^a.whl!inner.* has no member 'none'\.$"):
        extract(content, member.removesuffix("data") + "none")


@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar"])
@pytest.mark.parametrize("stored", ["data.csv", "./data.csv", "folder/data.csv", "./folder/data.csv"])
def test_a_dot_that_names_begin_with_is_no_part_of_them(extract, make, stored):
    content = make(**{"data": b"x", stored: CONTENT})
    for member in (stored, stored.removeprefix("./"), f"./{stored.removeprefix('./')}"):
        assert extract(content, member) == CONTENT
    with pytest.raises(UserError, match=r"has no member '\.data\.csv'"):
        extract(content, ".data.csv")


@pytest.mark.parametrize("first", ["data", "PKG-INFO"])
def test_a_tar_that_ends_in_a_zip_is_that_tar(extract, first):
    content = tarred(mode="w:", **{first: CONTENT, "inner.zip": zipped(data=b"inner", only=b"in it")})
    assert extract(content, first) == CONTENT
    assert extract(content, "inner.zip!data") == b"inner"
    with pytest.raises(UserError, match="a.whl has no member 'only'"):
        extract(content, "only")


def test_an_empty_zip_has_no_member(extract):
    with pytest.raises(UserError, match="a.whl has no member 'data'"):
        extract(zipped(), "data")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE]
)
def test_what_is_no_file_in_a_tar_is_refused(extract, kind):
    for target in ("/etc/hostname", "../../etc/hostname", "data"):
        with pytest.raises(UserError, match="a.whl: 'odd' is a folder, a link or a device, not a file"):
            extract(tarred(entry("odd", kind, target), data=CONTENT), "odd")


def test_what_is_no_file_in_a_zip_is_refused(extract):
    link = zipfile.ZipInfo("odd")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for odd in (link, "odd/"):
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as archive:
            archive.writestr(odd, b"/etc/hostname")
        with pytest.raises(UserError, match="a.whl: 'odd/?' is a folder, a link or encrypted, not a file"):
            extract(content.getvalue(), getattr(odd, "filename", odd))


BOMB = bytes(3 << 20)


@pytest.mark.parametrize(
    ("content", "member"),
    [
        (zipped(bomb=BOMB), "bomb"),
        (tarred(bomb=BOMB), "bomb"),
        (tarred(mode="w:xz", bomb=BOMB), "bomb"),
        (tarred(before=BOMB, data=b"x"), "data"),
        (zipped(inner=zipped(bomb=BOMB)), "inner!bomb"),
        (zipped(inner=gzip.compress(tarred(mode="w:", bomb=BOMB))), "inner!bomb"),
    ],
)
def test_what_unpacks_to_much_more_than_was_fetched_is_refused(extract, tmp_path, monkeypatch, content, member):
    monkeypatch.setattr(archives, "ALWAYS", 1 << 20)
    assert len(content) < len(BOMB) // archives.RATIO
    with pytest.raises(UserError, match=r"a.whl.* unpacks to more than 1,048,576 bytes, many times what"):
        extract(content, member)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(archives, "ALWAYS", 4 << 20)
    assert extract(content, member) in (BOMB, b"x")


def test_a_size_that_a_zip_understates_is_not_read_past(extract):
    honest = zipped(data=CONTENT)
    lying = honest.replace(len(CONTENT).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    with pytest.raises(UserError, match=r"a.whl cannot be unpacked \(Bad CRC-32"):
        extract(lying, "data")


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_fills_the_memory_is_refused(extract, kind):
    name = entry("name", kind)
    name.size = 2 << 20
    content = gzip.compress(name.tobuf(tarfile.GNU_FORMAT) + bytes(name.size) + tarred(mode="w:", data=CONTENT))
    with pytest.raises(UserError, match=r"a.whl cannot be unpacked \(an entry has a header of 2,097,152 bytes\)"):
        extract(content, "data")


def test_no_archive_is_a_sentence(extract):
    for content in (b"", b"PK\3\4", b"\x1f\x8b\x08", b"text\n" * 300, bytes(2000)):
        with pytest.raises(UserError, match=r"^a.whl (is neither|cannot be unpacked|has no member)"):
            extract(content, "data")


@pytest.mark.parametrize("make", [zipped, tarred], ids=["zip", "tar"])
def test_bytes_that_were_changed_give_the_member_or_a_sentence(extract, make):
    draw = random.Random(0)
    whole = make(before=CONTENT[:999], data=CONTENT, after=b"y")
    for _ in range(150):
        changed = bytearray(whole)
        for _ in range(draw.randint(1, 4)):
            changed[draw.randrange(len(changed))] = draw.randrange(256)
        with contextlib.suppress(UserError):
            found = extract(bytes(changed), "data")
            assert make is tarred or found == CONTENT  # A tar has no checksum of its contents.
