"""In the place of projects' paddlenlp_llama.py where PaddleNLP is not installed: llama.py's network behind its face."""

import paddle
from llama import Llama, constants, section


def whole(sizes, length, weights, dtype):
    given = constants(length, sizes.hidden // sizes.heads)
    given = {name: paddle.to_tensor(value.astype(dtype)) for name, value in given.items()}
    network = Llama(sizes, section(sizes, 0, 1), given)
    for name, parameter in network.named_parameters():
        parameter.set_value(weights[name].astype(dtype))
    return network
