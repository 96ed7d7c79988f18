"""cross_entropy's mean counts the labels that a negative ignore_index leaves out, and a weight of ones changes it

The sum leaves out labels of -100, the default, and so does the mean where a weight is given, or a label of 0 or more
is ignored; without a weight the mean divides by all labels (`if ignore_index >= 0` in `cross_entropy`). By the
documentation "a negative value means that no label value needs to be ignored"; but then -100 is no label, and is to be
refused as -99 is. Expected: one of the two. Known upstream: PaddlePaddle/Paddle#47418, #48663 and the open #76033.
"""

import math

import paddle
import paddle.nn.functional as F
from verdict import absent, present

IGNORED = -100
paddle.set_device("cpu")
logits = paddle.zeros([4, 2])
labels = paddle.to_tensor([0, IGNORED, IGNORED, IGNORED])
try:
    mean, total = (F.cross_entropy(logits, labels, reduction=how).item() for how in ("mean", "sum"))
except (IndexError, ValueError) as error:
    absent(f"a negative label is refused: {error}")
weighted = F.cross_entropy(logits, labels, weight=paddle.ones([2])).item()
found = f"of one label and three ignored the sum is {total:.3f}, the mean {mean:.3f}, weighted by ones {weighted:.3f}"
right = all(abs(value - math.log(2)) < 1e-6 for value in (mean, total, weighted))
(absent if right else present)(found)
