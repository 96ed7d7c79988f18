"""The health check: Paddle's own, on the device it was built for."""

import paddle

paddle.utils.run_check()
