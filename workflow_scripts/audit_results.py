"""Check every hash from the figures back to the sources, and say in words where each figure comes from."""

from pathlib import Path

from conceptdepth.ground.files import complete_file
from conceptdepth.models.weights import weight_files
from conceptdepth.provenance.audit import Auditor
from conceptdepth.provenance.chain import counts, machine_and_code, readable, stages
from conceptdepth.provenance.findings import Audit
from conceptdepth.provenance.job import job, log
from conceptdepth.provenance.record import PREFIX, now
from jinja2 import Environment

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="conceptdepth-record" content="{{ prefix }}{{ record }}">
<meta name="conceptdepth-verdict" content="{{ whole.verdict }}; {{ count(whole) }}">
<title>Provenance of the figures and tables</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem }
table { border-collapse: collapse; width: 100% }
td { border-top: 1px solid #e6e6e6; padding: .35rem .8rem .35rem 0; vertical-align: top; overflow-wrap: anywhere }
td:first-child { white-space: nowrap; color: #555 }
td small { display: block; color: #555 }
.verdict { padding: .15rem .6rem; border-radius: 1rem; color: white; background: #a33 }
.intact { background: #197a4b } .incomplete { background: #946200 }
code { font-size: .9em; overflow-wrap: anywhere }
</style>
<h1>Provenance of the figures and tables</h1>
<p><span class="verdict {{ whole.verdict }}">{{ whole.verdict }}</span>
{{ count(whole) }} on {{ time }} UTC, from every figure and table back to the bytes of the sources, the weights of the
models and the code. Check again at any time: <code>conceptdepth audit --all</code></p>
{% for finding in whole.findings %}
<p><b>{{ finding.verdict }}</b>: <code>{{ finding.path }}</code> {{ finding.text }}</p>{% endfor %}
<table>{% for name, fact in behind(whole).items() %}<tr><td>{{ name }}<td>{{ fact }}</tr>
{% endfor %}</table>
{% for path, audit in audits.items() %}
<h2>{{ path }} <span class="verdict {{ audit.verdict }}">{{ audit.verdict }}</span></h2>
<p><small>sha256 <code>{{ sha256(path) }}</code>{% for record in audit.records.values() %}{% if loop.first %},
record <code>{{ record.id }}</code>{% endif %}{% endfor %}</small></p>
<table>{% for stage in stages(audit) %}
<tr><td>{{ stage.rule }}{% if stage.jobs > 1 %}, {{ stage.jobs }} jobs{% endif %}
<td>{{ stage.deed }}<small>{{ stage.facts | join("; ") }}</small></tr>{% endfor %}
</table>
{% endfor %}
</html>
"""


def audit_results(targets: list[str], *, record: str, destination: str) -> Audit:
    """Write a page with the audit of the targets, each with its chain, and return their common audit."""
    auditor = Auditor(".", weight_files)
    audits = {target: auditor.audit_file(target) for target in targets}
    whole = Audit()
    for audit in audits.values():
        whole.include(audit)
    page = Environment(autoescape=True).from_string(PAGE)
    with complete_file(destination) as part:
        text = page.render(
            prefix=PREFIX,
            record=record,
            time=readable(now()),
            whole=whole,
            audits=audits,
            count=counts,
            behind=machine_and_code,
            stages=stages,
            sha256=auditor.sha256,
        )
        Path(part).write_text(text, encoding="utf-8")
    return whole


if __name__ == "__main__":
    with job(snakemake, comparing=False) as record:
        audit = audit_results(snakemake.input.results, record=record.id, destination=snakemake.output.audit)
        log.info("%s; %s", audit.verdict, counts(audit))
        for finding in audit.findings:
            log.warning("%s: %s %s", finding.verdict, finding.path, finding.text)
