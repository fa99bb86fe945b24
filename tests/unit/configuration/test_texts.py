"""Texts that reach a path, an address, a tool, a page or a table are what they should be, or refused in a sentence."""

import pytest
from conceptdepth.configuration.check import check_config
from conceptdepth.ground.errors import UserError
from whole_configuration import configuration

SHA = "0" * 64
COMMIT = "0" * 40


def small():
    """The configuration of a run with one model and one dataset, and no others to be checked."""
    config = configuration({"run": {"datasets": ["cities"]}})
    for registry, name in (("datasets", "cities"), ("models", "smollm2-135m"), ("claims", "noise_lowers_the_peak")):
        config[registry] = {name: config[registry][name]}
    config["ablation"] |= {"run": ["one_split"], "switches": {"one_split": {"probes": {"seeds": [42]}}}}
    return config


def dataset(**source):
    config = small()
    config["datasets"]["cities"]["source"] = source
    return config


def model(**source):
    config = small()
    config["models"]["smollm2-135m"]["source"] = source
    return config


def refused(config, match):
    with pytest.raises(UserError, match=match) as error:
        check_config(config)
    assert "\n" not in str(error.value)


RELEASES = ["demo==1.0", "a==0", "My.Package_x-1==1.0rc1.post2.dev3+local.1", "a1==2!1.0"]
NO_RELEASES = [
    "demo==1.0\n",
    "demo==1.0\n--find-links /tmp/x",
    "demo==1.0 --index-url=http://x/",
    "demo==1.0\n-r other.txt",
    "demo==1.0 # note",
    "-r==x",
    "demo==1.0;python_version>'3'",
    "demo[extra]==1.0",
    "demo===1.0",
    "demo>=1.0",
    "demo",
    "../demo==1.0",
    "demo==../1",
    "demo @ file:///x==1",
    "dem\u043e==1.0",
]


@pytest.mark.parametrize("release", RELEASES)
def test_a_release_is_a_name_and_a_version(release):
    check_config(dataset(pypi=release, sha256=SHA))
    check_config(model(pypi=release, sha256=SHA, member="a.gguf"))


@pytest.mark.parametrize("release", NO_RELEASES)
def test_what_pip_would_take_for_more_than_a_release_is_refused(release):
    said = r"source.pypi: .* does not match .*: Package, name==version, and nothing else.$"
    refused(dataset(pypi=release, sha256=SHA), said)
    refused(model(pypi=release, sha256=SHA, member="a.gguf"), said)


INSIDE = ["a", "a/b.csv", "a b/c..d/...", ".hidden/x", "\u6587/x", "a-1.0/b_c.tar.gz"]
NUL = "has a NUL in it"
OUTSIDE = [
    "",
    "/etc/passwd",
    "..",
    ".",
    "../a",
    "a/..",
    "a/../b",
    "./a",
    "a//b",
    "a/",
    "a\\b",
    "a\nb",
    "a\n",
    "a\0b",
    "..\\..\\a",
]


@pytest.mark.parametrize("path", INSIDE)
def test_a_path_inside_is_taken(path):
    check_config(dataset(hf="a/b", revision=COMMIT, sha256=SHA, file=path))
    check_config(dataset(pypi="a==1", sha256=SHA, member=f"{path}!{path}"))
    check_config(model(pypi="a==1", sha256=SHA, member=path))


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_that_leads_out_is_refused(path):
    refused(
        dataset(hf="a/b", revision=COMMIT, sha256=SHA, file=path),
        rf"source.file: .*({NUL}|: Path in the repository: relative)",
    )
    for member in (path, f"a!{path}", f"{path}!a"):
        refused(dataset(pypi="a==1", sha256=SHA, member=member), rf"source.member: .*({NUL}|: Path inside the archive)")
    refused(model(pypi="a==1", sha256=SHA, member=path), rf"source.member: .*({NUL}|: Path inside the archive)")


@pytest.mark.parametrize("name", ["a/b/c", "a", "../b", "a/..", "a/b\n", "a/b?x=1", "-a/b", "a/b c", "https://x/a"])
def test_a_repository_is_an_owner_and_a_name(name):
    said = r"source.hf: .*: Repository of the hub, owner/name."
    refused(dataset(hf=name, revision=COMMIT, sha256=SHA, file="x"), said)
    refused(model(hf=name), said)


@pytest.mark.parametrize("url", ["https://a.org/b.csv", "http://127.0.0.1:8/x/y%20z.csv?raw=1", "https://[::1]/a"])
def test_an_address_of_a_file_is_taken(url):
    check_config(dataset(url=url, sha256=SHA))


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a/b",
        "https://a.org",
        "https://a.org/",
        "https://a.org/b/",
        "https://user:word@a.org/b",
        "https://user@a.org/b",
        "https://a.org/b c",
        "https://a.org/b\nc",
        "https://a.org/b#c",
        "https:///b",
    ],
)
def test_an_address_that_is_none_or_has_a_password_is_refused(url):
    refused(dataset(url=url, sha256=SHA), r"source.url: .*: Address, without user and password")


@pytest.mark.parametrize("end", ["..", ".", "%2e%2e", "a%2f..", "{file}", "a{b}.csv", "%00", "%0a", "x" * 200])
def test_a_file_that_could_not_be_named_so_is_refused(end):
    refused(
        dataset(url=f"https://a.org/{end}", sha256=SHA), r"datasets.cities.source: .* cannot be the name of a file here"
    )


LINES = ["p < 0.05", "A & B", "<b>bold</b>", "\u6587\u5b57", "`x`_", "=1+1", "$x$"]
NO_LINES = ["two\nlines", "bell\a", "\x1b[31mred", "\x9b31m", "nul\0", "\ufffe", "line\u2028"]


@pytest.mark.parametrize("text", [*LINES, *NO_LINES])
@pytest.mark.parametrize(
    "path",
    [
        ("datasets", "cities", "label"),
        ("datasets", "cities", "classes", 0, "name"),
        ("models", "smollm2-135m", "label"),
        ("models", "smollm2-135m", "family"),
    ],
)
def test_a_label_is_any_text_on_one_line(path, text):
    config = small()
    *parents, key = path
    entry = config
    for parent in parents:
        entry = entry[parent]
    entry[key] = text
    if text in LINES:
        check_config(config)
    else:
        refused(config, rf"{key}: .*( does not match .*: |{NUL})")


@pytest.mark.parametrize("text", ["two\nlines\n", "a\tb", *LINES])
def test_a_description_may_have_lines(text):
    config = small()
    config["datasets"]["cities"] |= {"about": text, "licence": text}
    config["models"]["smollm2-135m"]["licence"] = text
    check_config(config)


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "two\nlines"])
def test_what_a_spreadsheet_would_compute_stands_in_no_table(text):
    """Names begin with a letter or digit; these are the texts of tables that a person is free to write."""
    config = small()
    claim = config["claims"]["noise_lowers_the_peak"]
    for key in ("statement", "of", "than"):
        config["claims"] = {"mine": claim | {key: text}}
        refused(config, rf"claims.mine.{key}: .*: Text of one line that stands in tables, where a spreadsheet")
    config["claims"] = {text: claim}
    refused(
        config, r"claims: .*(unseen characters in it|: Text of one line that stands in tables, where a spreadsheet)"
    )
