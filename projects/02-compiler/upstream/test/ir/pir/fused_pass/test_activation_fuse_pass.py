# Copyright (c) 2026 PaddlePaddle Authors. All Rights Reserved.
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

import unittest

import numpy as np

import paddle
from paddle import pir

paddle.enable_static()


class TestActivationFusePass(unittest.TestCase):
    def check(self, function, shapes, fused):
        """Runs `function` with and without the pass, which has to put in the
        operators that `fused` names, and no others."""
        with paddle.pir_utils.IrGuard():
            main, start = paddle.static.Program(), paddle.static.Program()
            with paddle.static.program_guard(main, start):
                inputs = [
                    paddle.static.data(f"x{number}", shape, "float32")
                    for number, shape in enumerate(shapes)
                ]
                out = paddle.assign(function(*inputs))
            rng = np.random.default_rng(0)
            feed = {
                f"x{number}": rng.standard_normal(
                    [2 if size < 0 else size for size in shape], "float32"
                )
                for number, shape in enumerate(shapes)
            }
            executor = paddle.static.Executor(paddle.CPUPlace())
            (expected,) = executor.run(main, feed=feed, fetch_list=[out])
            manager = pir.PassManager(opt_level=2)
            manager.add_pass("activation_fuse_pass", {})
            manager.run(main)
            (found,) = executor.run(main, feed=feed, fetch_list=[out])
        names = [operation.name() for operation in main.global_block().ops]
        here = [
            name for name in names if name in ("pd_op.softmax", "pd_op.swiglu")
        ]
        self.assertEqual(here, fused)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)

    def test_softmax(self):
        def softmax(x):
            e = paddle.exp(x - x.max(-1, keepdim=True))
            return e / e.sum(-1, keepdim=True)

        self.check(softmax, [[4, 8]], ["pd_op.softmax"])
        self.check(softmax, [[-1, 3, 8]], ["pd_op.softmax"])

    def test_softmax_axis_by_number(self):
        def softmax(x):
            e = paddle.exp(x - x.max(1, keepdim=True))
            return e / e.sum(1, keepdim=True)

        self.check(softmax, [[4, 8]], ["pd_op.softmax"])
        self.check(softmax, [[4, 8, 8]], [])

    def test_softmax_near_misses(self):
        def two_axes(x):
            e = paddle.exp(x - x.max(0, keepdim=True))
            return e / e.sum(-1, keepdim=True)

        def axis_lost(x):
            e = paddle.exp(x - x.max(-1))
            return e / e.sum(-1)

        def used_again(x):
            e = paddle.exp(x - x.max(-1, keepdim=True))
            return e / e.sum(-1, keepdim=True) + e

        for function in (two_axes, axis_lost, used_again):
            self.check(function, [[8, 8]], [])

    def test_swiglu_in_every_order(self):
        sigmoid, silu = paddle.nn.functional.sigmoid, paddle.nn.functional.silu
        for function in (
            lambda x, gate: gate * sigmoid(gate) * x,
            lambda x, gate: sigmoid(gate) * gate * x,
            lambda x, gate: x * (gate * sigmoid(gate)),
            lambda x, gate: x * (sigmoid(gate) * gate),
            lambda x, gate: silu(gate) * x,
            lambda x, gate: x * silu(gate),
        ):
            self.check(function, [[4, 8], [4, 8]], ["pd_op.swiglu"])

    def test_swiglu_near_misses(self):
        silu = paddle.nn.functional.silu

        def swiglu(x, gate):
            return silu(gate) * x

        def used_again(x, gate):
            gated = silu(gate)
            return gated * x + gated

        self.check(swiglu, [[4, 8], [8]], [])
        self.check(swiglu, [[4, 1], [4, 8]], [])
        self.check(swiglu, [[-1, 8], [-1, 8]], [])
        self.check(used_again, [[4, 8], [4, 8]], [])


if __name__ == "__main__":
    unittest.main()
