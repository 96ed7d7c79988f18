"""Validate an unpacked RO-Crate with the official validator, without a network: python validate_crate.py FOLDER

Runs in the stack `crate`. The validator fetches the JSON-LD context; its cache is filled beforehand with the official
one, which the package rocrate ships.
Prints a line for each issue and exits with 1 if there is one.
"""

import importlib.util
import io
import sys
import tempfile
from pathlib import Path

import requests
from requests_cache import CachedSession
from rocrate_validator import services
from urllib3 import HTTPResponse

CONTEXT = "https://w3id.org/ro/crate/1.1/context"


def fill(cache: Path) -> None:
    """Put the context into the validator's cache."""
    spec = importlib.util.find_spec("rocrate")
    assert spec is not None and spec.origin is not None
    content = (Path(spec.origin).parent / "data" / "ro-crate.jsonld").read_bytes()
    response = requests.Response()
    response.status_code, response.url, response._content = 200, CONTEXT, content
    response.headers["Content-Type"] = "application/ld+json"
    response.request = requests.Request("GET", CONTEXT).prepare()
    response.raw = HTTPResponse(body=io.BytesIO(content), status=200, preload_content=False)
    CachedSession(cache_name=str(cache), backend="sqlite").cache.save_response(response)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cache = Path(folder) / "cache"
        fill(cache)
        result = services.validate(
            {
                "rocrate_uri": sys.argv[1],
                "profile_identifier": "workflow-run-crate",
                "requirement_severity": "REQUIRED",
                "cache_path": str(cache),
                "offline": True,
            }
        )
    for issue in result.get_issues():
        print(f"{issue.check.identifier}: {issue.message}")
    print(f"{len(result.get_issues())} issues")
    sys.exit(bool(result.get_issues()))


if __name__ == "__main__":
    main()
