"""What a converted project needs where Paddle's functions mean something else than PyTorch's of the same name."""

from . import arithmetic, chance, modules
from .arithmetic import *  # noqa: F403
from .attention import *  # noqa: F403
from .chance import *  # noqa: F403
from .data import *  # noqa: F403
from .distributions import *  # noqa: F403
from .files import *  # noqa: F403
from .kinds import *  # noqa: F403
from .layers import *  # noqa: F403
from .modules import Module, ModuleDict, ModuleList, Parameter, ParameterList, Sequential
from .optimisers import *  # noqa: F403
from .reductions import *  # noqa: F403
from .shapes import *  # noqa: F403
from .starts import *  # noqa: F403
from . import functions as F  # noqa: E402
from .tensors import install as _install

modules.install()
arithmetic.install()
_install()
