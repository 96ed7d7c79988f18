"""What a job does in its pod: fetch the project by its hash, run the cell, send its record to the store.

This text is the job's command, run by the image's Python 3 in an empty folder. It needs the standard library alone.
Arguments: the project's address and sha256, the store's address, and the arguments of ./inv run.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import urllib.request

address, sha256, store, *words = sys.argv[1:]
with urllib.request.urlopen(address, timeout=60) as answer:
    content = answer.read()
if hashlib.sha256(content).hexdigest() != sha256:
    sys.exit("The project that came from the store is not the one that was sent.")
with tarfile.open(fileobj=io.BytesIO(content)) as archive:
    archive.extractall(".")
code = subprocess.run(["./inv", "run", *words]).returncode
sent = subprocess.run(["./inv", "upload", "--to", store]).returncode
sys.exit(code or sent)
