"""fleet.DistributedStrategy cannot be made with protobuf 7

    pip install --target other "protobuf==7.*"
    PYTHONPATH=other python protobuf_7.py

Expected: it works, or the wheel's requirements exclude protobuf 7.
"""

import google.protobuf
from verdict import absent, elsewhere, present

VERSION = google.protobuf.__version__
if int(VERSION.split(".")[0]) < 7:
    elsewhere(f"protobuf {VERSION} is installed; the fault needs 7")

from paddle.distributed import fleet  # noqa: E402

try:
    strategy = fleet.DistributedStrategy()
    strategy.hybrid_configs = {"dp_degree": 1}
except Exception as error:  # whichever it is: any error is the fault
    present(f"protobuf {VERSION}: {type(error).__name__}: {error}")
absent(f"DistributedStrategy works with protobuf {VERSION}")
