"""The gradient of max on the CPU takes time with the square of the row, where that of sum takes it with the row

The kernel is `AMaxOrAMinGradFunctor`: it counts the equal elements of a row anew for every element of it. Expected: a
row of eight times the length takes about eight times as long, as for sum; it takes sixty-four times as long.
"""

import statistics
import time

import paddle
from verdict import absent, present

ROWS, SHORT, LONGER, ROUNDS = 64, 128, 8, 7
paddle.set_device("cpu")


def milliseconds(reduce, columns):
    x = paddle.rand([ROWS, columns])
    x.stop_gradient = False
    taken = []
    for _ in range(ROUNDS):
        result = reduce(x, axis=1).sum()
        start = time.process_time()  # not the clock: others may be at work here
        paddle.grad(result, x)
        taken.append(1000 * (time.process_time() - start))
    return statistics.median(taken)


short, long = (milliseconds(paddle.max, columns) for columns in (SHORT, SHORT * LONGER))
of_sum = milliseconds(paddle.sum, SHORT * LONGER)
found = f"rows of {SHORT} take {short:.2f} ms, of {SHORT * LONGER} {long:.2f} ms; sum's gradient {of_sum:.2f} ms there"
(present if long > 2 * LONGER * short and long > 10 * of_sum else absent)(found)
