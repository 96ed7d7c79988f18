"""torch.linalg, angles and exponents, where results have names, other shapes or another order in Paddle."""

import math
from collections import namedtuple

import paddle

from .common import is_integer, method
from .reductions import norm

Svd, LinalgSvd = namedtuple("svd", "U S V"), namedtuple("linalg_svd", "U S Vh")
Qr, Lu = namedtuple("linalg_qr", "Q R"), namedtuple("linalg_lu", "P L U")
Eigen = namedtuple("linalg_eigh", "eigenvalues eigenvectors")
Slogdet = namedtuple("linalg_slogdet", "sign logabsdet")
Lstsq = namedtuple("linalg_lstsq", "solution residuals rank singular_values")
Solved = namedtuple("triangular_solve", "solution cloned_coefficient")


@method
def slogdet(x):
    sign, size = paddle.linalg.slogdet(x)
    return Slogdet(sign, size)


@method
def logdet(x):
    """No number of a negative determinant."""
    sign, size = paddle.linalg.slogdet(x)
    return paddle.where(sign < 0, paddle.full_like(size, float("nan")), size)


def linalg_svd(x, full_matrices=True):
    return LinalgSvd(*paddle.linalg.svd(x, full_matrices))


@method
def svd(x, some=True, compute_uv=True):
    u, s, vh = paddle.linalg.svd(x, not some)
    return Svd(u, s, paddle.transpose(vh, [*range(x.ndim - 2), x.ndim - 1, x.ndim - 2]))


def qr(x, mode="reduced"):
    return Qr(*paddle.linalg.qr(x, mode))


def eigh(x, UPLO="L"):
    if x.ndim == 2 or x.stop_gradient:
        return Eigen(*paddle.linalg.eigh(x, UPLO))
    each = [paddle.linalg.eigh(one, UPLO) for one in x.reshape([-1, *x.shape[-2:]])]  # its gradient is wrong of many
    return Eigen(
        paddle.stack([values for values, _ in each]).reshape(x.shape[:-1]),
        paddle.stack([vectors for _, vectors in each]).reshape(x.shape),
    )


def eigvalsh(x, UPLO="L"):
    return eigh(x, UPLO).eigenvalues


def lu(x, *, pivot=True):
    if not pivot:
        raise NotImplementedError("lu without pivots")
    packed, pivots = paddle.linalg.lu(x)
    return Lu(*paddle.linalg.lu_unpack(packed, pivots))


def lstsq(x, other, rcond=None, *, driver=None):
    if not (x.stop_gradient and other.stop_gradient) and paddle.is_grad_enabled():
        raise NotImplementedError("lstsq with a gradient is not converted")
    return Lstsq(*paddle.linalg.lstsq(x, other, rcond))


def matrix_norm(x, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """By singular values, or by sums along one axis."""
    x = x if dtype is None else x.astype(dtype)
    row, column = (each % x.ndim for each in dim)
    if ord == "fro":
        return norm(x, 2, (row, column), keepdim)
    if ord in ("nuc", 2, -2):
        rest = [each for each in range(x.ndim) if each not in (row, column)]
        values = paddle.linalg.svd(paddle.transpose(x, [*rest, row, column]))[1]
        found = {"nuc": paddle.sum, 2: paddle.amax, -2: paddle.amin}[ord](values, -1)
    elif abs(ord) in (1, float("inf")):
        summed, other = (row, column) if abs(ord) == 1 else (column, row)
        sums = paddle.sum(paddle.abs(x), summed, keepdim=True)
        found = (paddle.amax if ord > 0 else paddle.amin)(sums, other).squeeze(summed - (summed > other))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    return found.unsqueeze(sorted((row, column))) if keepdim else found


def linalg_norm(x, ord=None, dim=None, keepdim=False, *, dtype=None):
    """Of a matrix where `ord` is given with two axes, else of vectors."""
    two = x.ndim == 2 if dim is None else isinstance(dim, (tuple, list)) and len(dim) == 2
    if ord is not None and two:
        return matrix_norm(x, ord, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return norm(x, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@method
def triangular_solve(x, A, upper=True, transpose=False, unitriangular=False):
    return Solved(paddle.linalg.triangular_solve(A, x, upper, transpose, unitriangular), A.clone())


def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    if not left:
        raise NotImplementedError("solve_triangular from the right")
    return paddle.linalg.triangular_solve(A, B, upper, False, unitriangular)


@method
def cholesky_inverse(x, upper=False):
    """Of the triangle alone, whatever stands in the other."""
    part = paddle.triu(x) if upper else paddle.tril(x)
    return paddle.linalg.inv(paddle.matmul(part, part, upper, not upper))


@method
def cholesky_solve(x, L, upper=False):
    return paddle.linalg.cholesky_solve(x, L, upper)


def polar(x, angle):
    return paddle.complex(x * paddle.cos(angle), x * paddle.sin(angle))


def pinv(x, *, atol=None, rtol=None, hermitian=False):
    """With PyTorch's bound for what counts as 0."""
    if atol is not None:
        raise NotImplementedError("pinv with atol")
    own = paddle.finfo(x.dtype).eps * max(x.shape[-2:])
    return paddle.linalg.pinv(x, own if rtol is None else rtol, hermitian)


Frexp = namedtuple("frexp", "mantissa exponent")


@method
def frexp(x):
    mantissa, exponent = paddle.frexp(x)
    return Frexp(mantissa, exponent.astype("int32"))


@method
def deg2rad(x):
    return (x.astype(paddle.get_default_dtype()) if is_integer(x) else x) * (math.pi / 180)


@method
def rad2deg(x):
    return (x.astype(paddle.get_default_dtype()) if is_integer(x) else x) * (180 / math.pi)
