"""Functions of several steps round halves once, at their end."""

from . import activations, algebra, arithmetic, functions, halves, losses, pictures, reductions

for _module in (activations, algebra, arithmetic, losses, pictures, reductions, functions):
    halves.whole(_module)
