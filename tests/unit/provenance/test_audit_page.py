"""What an audit says stays text in its page, wherever a name or a setting with markup may stand."""

import audit_results
from conceptdepth.provenance.chain import Stage
from conceptdepth.provenance.findings import CHANGED, Audit
from pages import elements
from project import MARKUP


class StubAuditor:
    def __init__(self, *_):
        pass

    def audit_file(self, _):
        audit = Audit(records={MARKUP: {"id": MARKUP}})
        audit.note(CHANGED, MARKUP, MARKUP)
        return audit

    def sha256(self, _):
        return MARKUP


def page(monkeypatch, tmp_path, text):
    monkeypatch.setattr(audit_results, "Auditor", StubAuditor)
    monkeypatch.setattr(audit_results, "stages", lambda _: [Stage(text, text, 2, [text, text])])
    monkeypatch.setattr(audit_results, "machine_and_code", lambda _: {text: text})
    audit_results.audit_results([text], record="0" * 64, destination=str(tmp_path / "audit.html"))
    return (tmp_path / "audit.html").read_text()


def test_markup_in_what_an_audit_says_is_text(monkeypatch, tmp_path):
    usual = elements(page(monkeypatch, tmp_path, "text"))
    shown = page(monkeypatch, tmp_path, MARKUP)
    assert elements(shown) == usual
    assert MARKUP not in shown
    assert shown.count("&lt;/script&gt;&lt;img src=x onerror=x()&gt; &amp; $p&lt;.05") >= 10
