"""to_static: what the hook after_infer rewrites is not what runs

A hook among `ConcreteProgram._hookers` may rewrite the program of inference in `after_infer`. It was believed that the
rewriting is done and that the program before it runs. To tell the two apart the rule here is wrong on purpose,
x·sigmoid(x) → relu(x). Expected: relu. The hook has to be added to the concrete program of inference
(`is_train=False`): the one of training, which `get_concrete_program(x)` gives, never calls `after_infer`.
"""

import numpy as np
import paddle
from paddle import pir
from paddle.base import libpaddle
from verdict import absent, present


def wrong_rule():
    context = pir.DrrPatternContext()
    source = context.SourcePattern()
    source.Op("pd_op.sigmoid")([source.Tensor("x")], [source.Tensor("gate")])
    source.Op("pd_op.multiply")([source.Tensor("x"), source.Tensor("gate")], [source.Tensor("result")])
    target = source.ResultPattern()
    target.Op("pd_op.relu")([target.Tensor("x")], [target.Tensor("result")])
    return context


class Hook:
    def __init__(self):
        self.rule, self.rewritten = wrong_rule(), ""

    def before_append_backward(self, program, targets):
        return program, targets

    def after_append_backward(self, whole, inputs, targets, gradients, forward_end, backward_start):
        return whole, forward_end, targets

    def after_infer(self, runnable):
        manager = libpaddle.pir.PassManager(2)
        manager.register_pass("wrong", self.rule)
        manager.run(runnable.program)
        runnable.forward_range = (0, len(runnable.program.global_block().ops))
        self.rewritten = str(runnable.program)


def swish(x):
    return x * paddle.nn.functional.sigmoid(x)


paddle.set_device("cpu")
hook, x = Hook(), paddle.to_tensor(np.random.RandomState(0).randn(8, 8).astype("float32"))
traced = paddle.jit.to_static(swish, full_graph=True, backend=None)
traced.eval()  # or the program of training runs
program = traced.get_concrete_program(x, is_train=False)[1]
program._hookers.insert(0, hook)
result = traced(x).numpy()
assert "pd_op.relu" in hook.rewritten, "the hook rewrote nothing, so nothing is shown"
if np.allclose(result, np.maximum(x.numpy(), 0)):
    absent("the rewritten program ran")
present("the program was rewritten to relu, and the original ran")
