"""Validate the metadata of an RO-Crate without a network: `python crate_validator.py CRATE PROFILE`, in .venv/crate.

The contexts that are on the web stand in rocrate's own copy of that of RO-Crate 1.3, in what RO-Crate 1.1 had other
addresses for, and in the terms of Workflow Run RO-Crate. Prints each requirement that is not met, and on what.
"""

import io
import json
import sys
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

import requests
from requests.adapters import BaseAdapter
from requests_cache import CachedSession
from rocrate_validator import services
from urllib3 import HTTPResponse

NEW = json.loads((files("rocrate") / "data/ro-crate.jsonld").read_text(encoding="utf-8"))["@context"]
BIOSCHEMAS = "https://bioschemas.org/"
OLD = NEW | {
    "ComputationalWorkflow": f"{BIOSCHEMAS}ComputationalWorkflow",
    "FormalParameter": f"{BIOSCHEMAS}FormalParameter",
    "input": f"{BIOSCHEMAS}ComputationalWorkflow#input",
    "output": f"{BIOSCHEMAS}ComputationalWorkflow#output",
}
TERMS = "ParameterConnection connection sourceParameter targetParameter sha256 ContainerImage resourceUsage environment"
CONTEXTS = {
    "https://w3id.org/ro/crate/1.3/context": NEW,
    "https://w3id.org/ro/crate/1.1/context": OLD,
    "https://w3id.org/ro/terms/workflow-run/context": {
        term: f"https://w3id.org/ro/terms/workflow-run#{term}" for term in TERMS.split()
    },
}


class Web(BaseAdapter):
    """Answers for the contexts, and for nothing else."""

    def send(self, request, **_):
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 200, request.url, request
        answer.headers["Content-Type"] = "application/ld+json"
        content = io.BytesIO(json.dumps({"@context": CONTEXTS[request.url]}).encode())
        answer.raw = HTTPResponse(content, status=200, headers=answer.headers, preload_content=False)
        return answer

    def close(self):
        pass


def main(crate: str, profile: str) -> None:
    with TemporaryDirectory() as folder:
        cache = Path(folder) / "web"
        session = CachedSession(str(cache), backend="sqlite", expire_after=-1)
        session.mount("https://", Web())
        for address in CONTEXTS:
            session.get(address)
        settings = services.ValidationSettings(
            rocrate_uri=crate, profile_identifier=profile, requirement_severity="REQUIRED",
            offline=True, cache_path=cache, metadata_only=True,
        )  # fmt: skip
        for issue in services.validate(settings).get_issues():
            print(issue.check.identifier, issue.message, issue.violatingEntity)


if __name__ == "__main__":
    main(*sys.argv[1:])
