"""Attention, transformers and recurrent layers with PyTorch's weights, names and order of drawing."""

import math

import paddle
import paddle.nn.functional as F

from . import chance, functions, starts
from .layers import Dropout, LayerNorm, Linear
from .modules import Module, ModuleList, Parameter


def _zeros(*shape):
    return Parameter(paddle.zeros(list(shape)))


def _added(mask, kind):
    if mask is None or mask.dtype != paddle.bool:
        return mask
    return paddle.where(mask, paddle.full(mask.shape, float("-inf"), kind), paddle.zeros(mask.shape, kind))


class NonDynamicallyQuantizableLinear(Linear):
    """A Linear by the name that PyTorch prints."""


class MultiheadAttention(Module):
    def __init__(self, embed_dim, num_heads, dropout=0.0, bias=True, add_bias_kv=False, add_zero_attn=False, kdim=None,
                 vdim=None, batch_first=False, device=None, dtype=None):  # fmt: skip
        super().__init__()
        if add_bias_kv or add_zero_attn or (kdim or embed_dim, vdim or embed_dim) != (embed_dim, embed_dim):
            raise NotImplementedError("MultiheadAttention with add_bias_kv, add_zero_attn, kdim or vdim")
        self.embed_dim, self.num_heads, self.dropout, self.batch_first = embed_dim, num_heads, dropout, batch_first
        self.in_proj_weight = _zeros(3 * embed_dim, embed_dim)
        self.in_proj_bias = _zeros(3 * embed_dim) if bias else None
        self.out_proj = NonDynamicallyQuantizableLinear(embed_dim, embed_dim, bias=bias)
        starts.xavier_uniform_(self.in_proj_weight)
        if bias:
            starts.zeros_(self.out_proj.bias)

    def forward(self, query, key, value, key_padding_mask=None, need_weights=True, attn_mask=None,
                average_attn_weights=True, is_causal=False):  # fmt: skip
        bare = query.ndim == 2
        if bare:
            query, key, value = (each.unsqueeze(0 if self.batch_first else 1) for each in (query, key, value))
        if not self.batch_first:
            query, key, value = (each.transpose([1, 0, 2]) for each in (query, key, value))
        weights = paddle.split(self.in_proj_weight, 3)
        biases = [None] * 3 if self.in_proj_bias is None else paddle.split(self.in_proj_bias, 3)
        q, k, v = (self._heads(*each) for each in zip((query, key, value), weights, biases, strict=False))
        scores = paddle.matmul(q / math.sqrt(q.shape[-1]), k, transpose_y=True)
        attn_mask = _added(attn_mask, scores.dtype)
        if attn_mask is not None:
            scores = scores + (attn_mask.reshape(scores.shape) if attn_mask.ndim == 3 else attn_mask)
        if key_padding_mask is not None:
            mask = _added(key_padding_mask, scores.dtype)
            scores = scores + (mask.unsqueeze(0) if bare and mask.ndim == 1 else mask).unsqueeze([1, 2])
        seen = chance.dropout(F.softmax(scores, -1), self.dropout, self.training)
        mixed = paddle.matmul(seen, v).transpose([0, 2, 1, 3]).flatten(2)
        out = self.out_proj(mixed)
        if bare:
            out = out.squeeze(0)
        elif not self.batch_first:
            out = out.transpose([1, 0, 2])
        shown = (seen.mean(1) if average_attn_weights else seen) if need_weights else None
        return out, shown.squeeze(0) if bare and shown is not None else shown

    def _heads(self, x, weight, bias):
        return functions.linear(x, weight, bias).reshape([*x.shape[:2], self.num_heads, -1]).transpose([0, 2, 1, 3])


def _activation(given):
    return {"relu": functions.relu, "gelu": functions.gelu}[given] if isinstance(given, str) else given


class TransformerEncoderLayer(Module):
    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-5,
                 batch_first=False, norm_first=False, bias=True, device=None, dtype=None):  # fmt: skip
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1, self.norm2 = (LayerNorm(d_model, layer_norm_eps, bias=bias) for _ in range(2))
        self.dropout1, self.dropout2 = Dropout(dropout), Dropout(dropout)
        self.activation = _activation(activation)

    def _attend(self, x, mask, padding):
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask)[0])

    def _feed(self, x):
        return self.dropout2(self.linear2(self.dropout(self.activation(self.linear1(x)))))

    def forward(self, src, src_mask=None, src_key_padding_mask=None, is_causal=False):
        x = src
        if self.norm_first:
            x = x + self._attend(self.norm1(x), src_mask, src_key_padding_mask)
            return x + self._feed(self.norm2(x))
        x = self.norm1(x + self._attend(x, src_mask, src_key_padding_mask))
        return self.norm2(x + self._feed(x))


class TransformerDecoderLayer(Module):
    def __init__(self, d_model, nhead, dim_feedforward=2048, dropout=0.1, activation="relu", layer_norm_eps=1e-5,
                 batch_first=False, norm_first=False, bias=True, device=None, dtype=None):  # fmt: skip
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.multihead_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.linear1 = Linear(d_model, dim_feedforward, bias)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, bias)
        self.norm_first = norm_first
        self.norm1, self.norm2, self.norm3 = (LayerNorm(d_model, layer_norm_eps, bias=bias) for _ in range(3))
        self.dropout1, self.dropout2, self.dropout3 = (Dropout(dropout) for _ in range(3))
        self.activation = _activation(activation)

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
                memory_key_padding_mask=None, tgt_is_causal=False, memory_is_causal=False):  # fmt: skip
        def own(x):
            return self.dropout1(self.self_attn(x, x, x, tgt_key_padding_mask, False, tgt_mask)[0])

        def other(x):
            return self.dropout2(self.multihead_attn(x, memory, memory, memory_key_padding_mask, False, memory_mask)[0])

        def feed(x):
            return self.dropout3(self.linear2(self.dropout(self.activation(self.linear1(x)))))

        x = tgt
        for norm, part in ((self.norm1, own), (self.norm2, other), (self.norm3, feed)):
            x = x + part(norm(x)) if self.norm_first else norm(x + part(x))
        return x


class TransformerEncoder(Module):
    def __init__(self, encoder_layer, num_layers, norm=None, enable_nested_tensor=True, mask_check=True):
        super().__init__()
        self.layers, self.num_layers, self.norm = copies(encoder_layer, num_layers), num_layers, norm
        self.enable_nested_tensor = enable_nested_tensor

    def forward(self, src, mask=None, src_key_padding_mask=None, is_causal=None):
        nested = mask is None and src_key_padding_mask is not None and self._nests(src, src_key_padding_mask)
        for layer in self.layers:
            src = layer(src, mask, src_key_padding_mask)
        if nested:
            src = paddle.where((src_key_padding_mask != 0).unsqueeze(-1), paddle.zeros_like(src), src)
        return src if self.norm is None else self.norm(src)

    def _nests(self, src, padding):
        """Whether PyTorch leaves padding at the end out of the computation: then 0 comes out of it."""
        first = self.layers[0]
        plain = first.activation in (functions.relu, functions.gelu) and not first.norm_first and not first.training
        whole = first.self_attn.batch_first and first.self_attn.in_proj_bias is not None and src.ndim == 3
        even = first.self_attn.num_heads % 2 == 0 and first.norm1.eps == first.norm2.eps
        traced = paddle.is_grad_enabled() and not all(each.stop_gradient for each in [src, *first.parameters()])
        padded = (padding != 0).astype("int32")
        at_end = bool((padded[:, 1:] >= padded[:, :-1]).all())
        return self.enable_nested_tensor and plain and whole and even and not traced and at_end


class TransformerDecoder(Module):
    def __init__(self, decoder_layer, num_layers, norm=None):
        super().__init__()
        self.layers, self.num_layers, self.norm = copies(decoder_layer, num_layers), num_layers, norm

    def forward(self, tgt, memory, tgt_mask=None, memory_mask=None, tgt_key_padding_mask=None,
                memory_key_padding_mask=None, **_):  # fmt: skip
        for layer in self.layers:
            tgt = layer(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return tgt if self.norm is None else self.norm(tgt)


def copies(layer, count):
    import copy

    return ModuleList([copy.deepcopy(layer) for _ in range(count)])


class Transformer(Module):
    def __init__(self, d_model=512, nhead=8, num_encoder_layers=6, num_decoder_layers=6, dim_feedforward=2048,
                 dropout=0.1, activation="relu", layer_norm_eps=1e-5, batch_first=False, norm_first=False,
                 **_):  # fmt: skip
        super().__init__()
        given = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        self.encoder = TransformerEncoder(
            TransformerEncoderLayer(*given), num_encoder_layers, LayerNorm(d_model, layer_norm_eps)
        )
        self.decoder = TransformerDecoder(
            TransformerDecoderLayer(*given), num_decoder_layers, LayerNorm(d_model, layer_norm_eps)
        )
        for each in self.parameters():
            if each.ndim > 1:
                starts.xavier_uniform_(each)

    def forward(self, src, tgt, src_mask=None, tgt_mask=None, memory_mask=None, src_key_padding_mask=None,
                tgt_key_padding_mask=None, memory_key_padding_mask=None, **_):  # fmt: skip
        memory = self.encoder(src, src_mask, src_key_padding_mask)
        return self.decoder(tgt, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)

    @staticmethod
    def generate_square_subsequent_mask(size, **_):
        return paddle.triu(paddle.full([size, size], float("-inf")), 1)


# Recurrent layers


class _Recurrent(Module):
    gates = 1

    def __init__(self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
                 bidirectional=False, nonlinearity="tanh", proj_size=0, device=None, dtype=None):  # fmt: skip
        super().__init__()
        if proj_size:
            raise NotImplementedError("LSTM with proj_size")
        self.input_size, self.hidden_size, self.num_layers, self.bias = input_size, hidden_size, num_layers, bias
        self.batch_first, self.dropout, self.bidirectional = batch_first, dropout, bidirectional
        self.nonlinearity = nonlinearity
        self.ways = ["", "_reverse"] if bidirectional else [""]
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * len(self.ways)
            for way in self.ways:
                setattr(self, f"weight_ih_l{layer}{way}", _zeros(self.gates * hidden_size, width))
                setattr(self, f"weight_hh_l{layer}{way}", _zeros(self.gates * hidden_size, hidden_size))
                if bias:
                    setattr(self, f"bias_ih_l{layer}{way}", _zeros(self.gates * hidden_size))
                    setattr(self, f"bias_hh_l{layer}{way}", _zeros(self.gates * hidden_size))
        for each in self.parameters():
            starts.uniform_(each, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))

    def flatten_parameters(self):
        pass

    def forward(self, input, hx=None):
        if not isinstance(input, paddle.Tensor):
            raise NotImplementedError("a packed sequence")
        bare = input.ndim == 2
        x = input.unsqueeze(0 if self.batch_first else 1) if bare else input
        x = x.transpose([1, 0, 2]) if self.batch_first else x
        states, ends = self._states(hx, x, bare), []
        for layer in range(self.num_layers):
            outs = []
            for number, way in enumerate(self.ways):
                state = [each[layer * len(self.ways) + number] for each in states]
                out, end = self._along(x, state, f"_l{layer}{way}", bool(way))
                outs.append(out)
                ends.append(end)
            x = paddle.concat(outs, -1) if len(outs) > 1 else outs[0]
            if layer + 1 < self.num_layers:
                x = chance.dropout(x, self.dropout, self.training)
        last = [paddle.stack(each) for each in zip(*ends, strict=False)]
        x = x.transpose([1, 0, 2]) if self.batch_first else x
        if bare:
            x, last = x.squeeze(0 if self.batch_first else 1), [each.squeeze(1) for each in last]
        return x, self._given_back(last)

    def _states(self, hx, x, bare):
        if hx is None:
            return [paddle.zeros([self.num_layers * len(self.ways), x.shape[1], self.hidden_size], x.dtype)] * self.kept
        hx = hx if isinstance(hx, (tuple, list)) else [hx]
        return [each.unsqueeze(1) if bare else each for each in hx]

    kept = 1

    def _given_back(self, last):
        return last[0]

    def _along(self, x, state, name, backwards):
        weights = [getattr(self, f"weight_ih{name}"), getattr(self, f"weight_hh{name}")]
        biases = [getattr(self, f"bias_ih{name}"), getattr(self, f"bias_hh{name}")] if self.bias else [None, None]
        entered = functions.linear(x, weights[0], biases[0])
        found = []
        for step in range(x.shape[0])[:: -1 if backwards else 1]:
            state = self.cell(entered[step], functions.linear(state[0], weights[1], biases[1]), state)
            found.append(state[0])
        return paddle.stack(found[::-1] if backwards else found), state


def _rnn(self, entered, kept, state):
    return [F.relu(entered + kept) if self.nonlinearity == "relu" else paddle.tanh(entered + kept)]


def _gru(self, entered, kept, state):
    (r, z, n), (hr, hz, hn) = paddle.split(entered, 3, -1), paddle.split(kept, 3, -1)
    r, z = F.sigmoid(r + hr), F.sigmoid(z + hz)
    n = paddle.tanh(n + r * hn)
    return [(1 - z) * n + z * state[0]]


def _lstm(self, entered, kept, state):
    i, f, g, o = paddle.split(entered + kept, 4, -1)
    cell = F.sigmoid(f) * state[1] + F.sigmoid(i) * paddle.tanh(g)
    return [F.sigmoid(o) * paddle.tanh(cell), cell]


class RNN(_Recurrent):
    cell = _rnn

    def __init__(self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", *given, **named):
        super().__init__(input_size, hidden_size, num_layers, *given, nonlinearity=nonlinearity, **named)


class GRU(_Recurrent):
    gates, cell = 3, _gru


class LSTM(_Recurrent):
    gates, cell, kept = 4, _lstm, 2

    def _given_back(self, last):
        return tuple(last)


class _Cell(Module):
    gates, kept = 1, 1

    def __init__(self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None):
        super().__init__()
        self.hidden_size, self.nonlinearity = hidden_size, nonlinearity
        self.weight_ih, self.weight_hh = (
            _zeros(self.gates * hidden_size, input_size),
            _zeros(self.gates * hidden_size, hidden_size),
        )
        self.bias_ih, self.bias_hh = (_zeros(self.gates * hidden_size) if bias else None for _ in range(2))
        for each in self.parameters():
            starts.uniform_(each, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size))

    def forward(self, input, hx=None):
        if hx is None:
            hx = [paddle.zeros([*input.shape[:-1], self.hidden_size], input.dtype)] * self.kept
        hx = list(hx) if isinstance(hx, (tuple, list)) else [hx]
        kept = functions.linear(hx[0], self.weight_hh, self.bias_hh)
        found = self.cell(functions.linear(input, self.weight_ih, self.bias_ih), kept, hx)
        return found[0] if self.kept == 1 else tuple(found)


class RNNCell(_Cell):
    cell = _rnn


class GRUCell(_Cell):
    gates, cell = 3, _gru


class LSTMCell(_Cell):
    gates, kept, cell = 4, 2, _lstm
