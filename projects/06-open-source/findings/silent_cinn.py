"""to_static(backend="CINN") on a wheel without CINN runs without it and says nothing

3.0.0 refuses; 3.3.1 runs the program on PHI without a word, so that a benchmark of CINN measures something else.
Expected: the refusal of 3.0.0.
"""

import paddle
from verdict import absent, elsewhere, present


def swish(x):
    return x * paddle.nn.functional.sigmoid(x)


paddle.set_device("cpu")
if paddle.is_compiled_with_cinn():
    elsewhere("this wheel has CINN, so nothing falls back")
try:
    traced = paddle.jit.to_static(swish, backend="CINN", full_graph=True)
    traced(paddle.ones([4, 4]))
except NotImplementedError as error:
    absent(f"it is refused: {str(error).strip().splitlines()[-1] if str(error).strip() else 'NotImplementedError'}")
present("it ran without CINN and said nothing")
