"""What numbers are kept as: weights in packing.py, keys and values in decoder.py."""

KINDS = {"float32": 0, "bfloat16": 1, "int8": 2, "int4": 3, "float8": 4}  # of weights; kernels.h: Kind
CACHES = ("float32", "float16", "int8")  # of keys and values; int8 with a scale for each head of a position
