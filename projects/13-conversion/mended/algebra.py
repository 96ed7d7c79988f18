"""torch.linalg, where results have names, other shapes or another order in Paddle."""

from collections import namedtuple

import paddle

from .common import method

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
    return Eigen(*paddle.linalg.eigh(x, UPLO))


def lu(x, *, pivot=True):
    if not pivot:
        raise NotImplementedError("lu without pivots")
    packed, pivots = paddle.linalg.lu(x)
    return Lu(*paddle.linalg.lu_unpack(packed, pivots))


def lstsq(x, other, rcond=None, *, driver=None):
    return Lstsq(*paddle.linalg.lstsq(x, other, rcond))


@method
def triangular_solve(x, A, upper=True, transpose=False, unitriangular=False):
    return Solved(paddle.linalg.triangular_solve(A, x, upper, transpose, unitriangular), A.clone())


def solve_triangular(A, B, *, upper, left=True, unitriangular=False):
    if not left:
        raise NotImplementedError("solve_triangular from the right")
    return paddle.linalg.triangular_solve(A, B, upper, False, unitriangular)


@method
def cholesky_solve(x, L, upper=False):
    return paddle.linalg.cholesky_solve(x, L, upper)
