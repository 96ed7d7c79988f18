"""What a converted project needs where Paddle's functions mean something else than PyTorch's of the same name."""

# ruff: noqa: F401, F403, I001

from . import once  # before what it changes is imported by name
from . import arithmetic, chance, halves, modules, sparse, views
from .algebra import *
from .arithmetic import *
from .attention import *
from .autograd import Function
from .board import SummaryWriter
from .chance import *
from .common import into, not_converted
from .data import *
from .distributions import *
from .files import *
from .indexing import *
from .kinds import *
from .layers import *
from .modules import Module, ModuleDict, ModuleList, Parameter, ParameterList, Sequential, layer_of
from .optimisers import *
from .plain import *
from .reductions import *
from .schedules import *
from .shapes import *
from .sparse import *
from .starts import *
from .windows import *
from . import functions as F
from . import resnet, vision
from .tensors import install as _install

halves.install()
modules.install()
arithmetic.install()
sparse.install()
views.install()
_install()
