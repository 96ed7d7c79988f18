"""PyTorch's methods for every layer of Paddle, and weights and buffers under PyTorch's names."""

import sys
from collections import OrderedDict, namedtuple

import paddle

from . import shown
from .common import Tensor, not_converted, put

Layer = paddle.nn.Layer


class Keys(namedtuple("_IncompatibleKeys", "missing_keys unexpected_keys")):
    def __repr__(self):
        return super().__repr__() if self.missing_keys or self.unexpected_keys else "<All keys matched successfully>"

    __str__ = __repr__


Keys.__name__ = "_IncompatibleKeys"  # which it prints


class Module(Layer):
    """torch.nn.Module: a layer that may be begun with `super().__init__()` alone."""

    extra_repr, __repr__ = shown.extra, shown.text

    def __init__(self, *given, **named):
        super().__init__()


class Listed(list):
    """What PyTorch gives as an iterator, and Paddle's own code reads as a list."""

    def __next__(self):
        if not hasattr(self, "_left"):
            self._left = iter(self)
        return next(self._left)


class _IsParameter(type):
    def __instancecheck__(cls, thing):
        return isinstance(thing, paddle.base.framework.EagerParamBase)


class Parameter(metaclass=_IsParameter):
    """A trainable weight with the values of `data`."""

    def __new__(cls, data=None, requires_grad=True):
        return _parameter(data, requires_grad)


def _parameter(data, requires_grad):
    data = paddle.zeros([0]) if data is None else data
    made = paddle.create_parameter(
        list(data.shape), data.dtype, default_initializer=paddle.nn.initializer.Constant(0.0)
    )
    put(made, data.detach())
    made.stop_gradient = not requires_grad
    return made


def layer_of(name, *_):
    """getattr(torch.nn, name) of a name that is made while the program runs."""
    found = getattr(sys.modules[__package__], name, None)
    return found if isinstance(found, type) and issubclass(found, Layer) else not_converted(f"torch.nn.{name}")


def _seen(self, prefix, memo):
    """Every layer once, with its name."""
    if id(self) in memo:
        return
    memo.add(id(self))
    yield prefix, self
    for name, child in self._sub_layers.items():
        if child is not None:
            yield from _seen(child, f"{prefix}.{name}" if prefix else name, memo)


def named_modules(self, memo=None, prefix="", remove_duplicate=True):
    yield from _seen(self, prefix, set())


def modules(self):
    for _, each in _seen(self, "", set()):
        yield each


def _named(self, kind, prefix, recurse):
    seen = set()
    for name, layer in _seen(self, prefix, set()) if recurse else [(prefix, self)]:
        for key, value in getattr(layer, kind).items():
            if value is not None and id(value) not in seen:
                seen.add(id(value))
                yield f"{name}.{key}" if name else key, value


def named_parameters(self, prefix="", recurse=True, include_sublayers=True, **_):
    return Listed(_named(self, "_parameters", prefix, recurse and include_sublayers))


def parameters(self, recurse=True, include_sublayers=True):
    return Listed(value for _, value in named_parameters(self, "", recurse and include_sublayers))


def named_buffers(self, prefix="", recurse=True, include_sublayers=True, **_):
    return Listed(_named(self, "_buffers", prefix, recurse and include_sublayers))


def buffers(self, recurse=True, include_sublayers=True):
    return Listed(value for _, value in named_buffers(self, "", recurse and include_sublayers))


def train(self, mode=True):
    self.training = mode
    for child in self.children():
        child.train(mode) if mode else child.eval()
    return self


def eval(self):
    return self.train(False)


def children(self):
    for _, child in named_children(self):
        yield child


def named_children(self):
    seen = set()
    for name, child in self._sub_layers.items():
        if child is not None and id(child) not in seen:
            seen.add(id(child))
            yield name, child


def requires_grad_(self, requires_grad=True):
    for each in self.parameters():
        each.stop_gradient = not requires_grad
    return self


def zero_grad(self, set_to_none=True):
    for each in self.parameters():
        each.clear_gradient(not set_to_none)


def state_dict(self, *given, destination=None, prefix="", keep_vars=False, **_):
    """Weights and buffers, tied ones under every name, as PyTorch orders them."""
    found = OrderedDict() if destination is None else destination
    for name, value in self._parameters.items():
        if value is not None:
            found[prefix + name] = value if keep_vars else _shared(value)
    for name, value in self._buffers.items():
        if value is not None and name not in self._non_persistable_buffer_names_set:
            found[prefix + name] = value if keep_vars else _shared(value)
    for name, child in self._sub_layers.items():
        if child is not None:
            child.state_dict(destination=found, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
    return found


def _shared(value):
    return value.detach() if value.ndim or not value.stop_gradient else value


def _quoted(names):
    return ", ".join(f'"{each}"' for each in names)


def load_state_dict(self, state_dict, strict=True, assign=False):
    own = self.state_dict(keep_vars=True)
    missing = [name for name in own if name not in state_dict]
    unexpected = [name for name in state_dict if name not in own]
    if strict and (missing or unexpected):
        kinds = (("Unexpected", unexpected), ("Missing", missing))
        said = [f"\t{kind} key(s) in state_dict: {_quoted(names)}. " for kind, names in kinds if names]
        raise RuntimeError("\n".join([f"Error(s) in loading state_dict for {type(self).__name__}:", *said]))
    for name, value in own.items():
        if name in state_dict:
            given = state_dict[name]
            given = given if isinstance(given, Tensor) else paddle.to_tensor(given)
            if list(given.shape) != list(value.shape):
                raise RuntimeError(f"size mismatch for {name}: {given.shape} and {value.shape}")
            put(value, given)
    return Keys(missing, unexpected)


def to(self, *given, dtype=None, device=None, non_blocking=None, blocking=None, memory_format=None, **_):
    """In place, as PyTorch does with modules; weights stay the objects that an optimiser holds."""
    for each in given:
        if isinstance(each, paddle.dtype):
            dtype = each
        elif isinstance(each, Tensor):
            dtype = each.dtype
    if dtype is not None:
        self._to_impl(dtype=dtype, include_sublayers=True, floating_only=True)
    return self


def register_buffer(self, name, tensor, persistent=True, persistable=None):
    if persistable is not None:
        persistent = persistable
    _register_buffer(self, name, tensor, persistent)


_register_buffer = Layer.register_buffer


def register_parameter(self, name, param):
    setattr(self, name, param)


def add_module(self, name, module):
    self.add_sublayer(name, module)


def get_submodule(self, target):
    found = self
    for name in filter(None, target.split(".")):
        found = found._sub_layers[name]
    return found


def get_parameter(self, target):
    owner, _, name = target.rpartition(".")
    return get_submodule(self, owner)._parameters[name]


def apply(self, fn):
    for child in self.children():
        child.apply(fn)
    fn(self)
    return self


def _cast(kind):
    return lambda self: to(self, dtype=kind)


def _stay(self, device=None):
    return self


def cuda(self, device=None):
    if not paddle.is_compiled_with_cuda():
        raise RuntimeError("there is no CUDA here")
    return self


def compiled(self, *_, **__):
    return self


def register_forward_hook(self, hook, **_):
    return self.register_forward_post_hook(hook)


def install():
    """Give all layers these methods: Paddle lacks most, and the others return what PyTorch's do."""
    for function in (
        modules, named_modules, named_parameters, parameters, named_buffers, buffers, train, eval, children,
        named_children, requires_grad_, zero_grad, state_dict, load_state_dict, to, register_buffer, apply, cuda,
        register_parameter, add_module, get_submodule, get_parameter, register_forward_hook,
    ):  # fmt: skip
        setattr(Layer, function.__name__, function)
    Layer.float, Layer.double, Layer.half = _cast(paddle.float32), _cast(paddle.float64), _cast(paddle.float16)
    Layer.bfloat16, Layer.cpu, Layer.compile = _cast(paddle.bfloat16), _stay, compiled
    Layer.set_state_dict = Layer.set_dict = lambda self, given, *_, **__: load_state_dict(self, given, strict=False)


class Sequential(Module):
    """PyTorch's: of layers, or of an ordered dictionary, and it can be cut."""

    def __init__(self, *layers):
        super().__init__()
        named = layers[0].items() if len(layers) == 1 and isinstance(layers[0], dict) else enumerate(layers)
        for name, layer in named:
            self.add_sublayer(str(name), layer)

    def forward(self, input):
        for layer in self._sub_layers.values():
            input = layer(input)
        return input

    def __getitem__(self, key):
        layers = list(self._sub_layers.items())
        return Sequential(OrderedDict(layers[key])) if isinstance(key, slice) else layers[key][1]

    def __setitem__(self, key, layer):
        self._sub_layers[list(self._sub_layers)[key]] = layer

    def __delitem__(self, key):
        left = [layer for number, layer in enumerate(self) if number != key % len(self)]
        self._sub_layers.clear()
        for layer in left:
            self.append(layer)

    def __len__(self):
        return len(self._sub_layers)

    def __iter__(self):
        return iter(list(self._sub_layers.values()))

    def append(self, layer):
        self.add_sublayer(str(len(self)), layer)
        return self

    def extend(self, layers):
        for layer in layers:
            self.append(layer)
        return self

    def add_module(self, name, layer):
        self.add_sublayer(name, layer)


class ModuleList(Sequential):
    def __init__(self, layers=()):
        super().__init__(*layers)

    def __getitem__(self, key):
        layers = list(self._sub_layers.values())
        return ModuleList(layers[key]) if isinstance(key, slice) else layers[key]

    def insert(self, index, layer):
        layers = list(self)
        layers.insert(index, layer)
        self._sub_layers.clear()
        self.extend(layers)

    def __add__(self, other):
        return ModuleList([*self, *other])


class ModuleDict(Module):
    def __init__(self, layers=None):
        super().__init__()
        self.update(layers or {})

    def update(self, layers):
        for name, layer in dict(layers).items():
            self.add_sublayer(name, layer)

    def __getitem__(self, key):
        return self._sub_layers[key]

    def __setitem__(self, key, layer):
        self.add_sublayer(key, layer)

    def __len__(self):
        return len(self._sub_layers)

    def __iter__(self):
        return iter(self._sub_layers)

    def __contains__(self, key):
        return key in self._sub_layers

    def keys(self):
        return self._sub_layers.keys()

    def items(self):
        return self._sub_layers.items()

    def values(self):
        return self._sub_layers.values()


class ParameterList(Module):
    def __init__(self, values=()):
        super().__init__()
        for value in values:
            self.append(value)

    def append(self, value):
        value = value if isinstance(value, paddle.base.framework.EagerParamBase) else Parameter(value)
        self.add_parameter(str(len(self._parameters)), value)
        return self

    def __getitem__(self, key):
        return list(self._parameters.values())[key]

    def __len__(self):
        return len(self._parameters)

    def __iter__(self):
        return iter(list(self._parameters.values()))
