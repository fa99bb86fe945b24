"""What an audit finds, and its verdict."""

from dataclasses import dataclass, field

from conceptdepth.provenance.record import RecordContent

INTACT, CHANGED, INCOMPLETE = "intact", "changed since", "incomplete"

EXIT_CODES = {INTACT: 0, CHANGED: 1, INCOMPLETE: 2}


@dataclass(frozen=True)
class Finding:
    """Something that is not as the records say."""

    verdict: str
    """`CHANGED` or `INCOMPLETE`."""
    path: str
    text: str
    """The rest of a sentence that begins with the path."""


@dataclass
class Audit:
    """What an audit has found."""

    records: dict[str, RecordContent] = field(default_factory=dict)
    """Records of the chain by path, from the audited file backwards."""
    findings: dict[Finding, None] = field(default_factory=dict)
    """An ordered set."""
    files: set[str] = field(default_factory=set)
    """Files whose bytes were checked."""
    code: set[str] = field(default_factory=set)
    """Code files that were checked."""
    earlier: int = 0
    """Records of earlier runs, whose files were checked but not what they were made from."""

    @property
    def verdict(self) -> str:
        """`CHANGED` weighs more than `INCOMPLETE`."""
        verdicts = {finding.verdict for finding in self.findings}
        return next((verdict for verdict in (CHANGED, INCOMPLETE) if verdict in verdicts), INTACT)

    def note(self, verdict: str, path: str, text: str) -> None:
        """Add a finding, once."""
        self.findings[Finding(verdict, path, text)] = None

    def include(self, other: "Audit") -> None:
        """Add what another audit of the same folder has found."""
        self.records |= other.records
        self.findings |= other.findings
        self.files |= other.files
        self.code |= other.code
