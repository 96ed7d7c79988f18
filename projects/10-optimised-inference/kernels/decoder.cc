// The operators that Paddle calls: one step of the whole decoder, and each kernel alone for the tests.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels.h"
#include "paddle/extension.h"

using paddle::Tensor;

namespace llm {
namespace {

// The best table this CPU can run, or the one asked for by name. Throws if it cannot.
const Kernels& choose(const std::string& name) {
    for (const Kernels* kernels : {avx512_kernels(), avx2_kernels(), portable_kernels()})
        if (kernels && (name == "best" || name == kernels->name)) return *kernels;
    PD_THROW("this CPU cannot run the kernels ", name);
}

// Room for the activations of a step in every form that a product may want.
struct Room {
    std::vector<uint16_t> bfloat16;
    std::vector<int8_t> numbers;
    std::vector<float> scales, sums;

    Activations activations(const float* values, long tokens, long inputs) {
        const size_t size = tokens * inputs;
        if (numbers.size() < size) {
            bfloat16.resize(size);
            numbers.resize(size);
            scales.resize(size / GROUP);
            sums.resize(size / GROUP);
        }
        return {(int)inputs, values, bfloat16.data(), numbers.data(), scales.data(), sums.data()};
    }
};

// y (tokens, rows) = x (tokens, inputs), prepared, times the packed weights, transposed. All threads of a parallel
// region call this together.
void linear(const Kernels& kernels, Kind kind, const Tensor& packed, const Activations& x, int tokens, float* y,
            int rows) {
    const uint8_t* weights = packed.data<uint8_t>();
    const int panels = rows / kernels.rows;
    const long size = packed.numel() / panels;
#pragma omp for schedule(static)
    for (int p = 0; p < panels; p++) kernels.panel(kind, weights + p * size, x, tokens, y + p * kernels.rows, rows);
}

struct Shape {
    int heads, kv_heads, width, inner;
    int queries() const { return heads * width; }
    int keys() const { return kv_heads * width; }
    int together() const { return queries() + 2 * keys(); }
};

// The paged cache: (layers, blocks, kv_heads, block, width) numbers, and without the last axis their scales.
struct Cache {
    const Tensor &keys, &values, &key_scales, &value_scales;
    bool int8() const { return keys.dtype() == paddle::DataType::INT8; }
    int heads() const { return (int)keys.shape()[2]; }
    int block() const { return (int)keys.shape()[3]; }
    int width() const { return (int)keys.shape()[4]; }

    Pages pages(const Tensor& numbers, const Tensor& scales, int layer, const int* table, int head) const {
        const long positions = numbers.shape()[1] * heads() * block();
        const char* base = (const char*)numbers.data() + layer * positions * width() * (int8() ? 1 : 4);
        const float* own = int8() ? scales.data<float>() + layer * positions : nullptr;
        return {base, own, table, block(), heads(), head, int8()};
    }

    void write(const Kernels& kernels, const Pages& pages, int position, const float* x) const {
        const long slot = ((long)pages.table[position / pages.size] * pages.heads + pages.head) * pages.size +
                          position % pages.size;
        if (pages.int8)
            kernels.compress(x, (int8_t*)pages.base + slot * width(), (float*)pages.scales + slot, width());
        else
            memcpy((float*)pages.base + slot * width(), x, sizeof(float) * width());
    }
};

// One step: `tokens` rows, row t being position positions[t] of sequence sequences[t], whose blocks are the row of
// `tables`. Writes their keys and values into the cache and returns logits of the rows in `wanted`.
//
// `weights` is, for each layer: norm, qkv, output, norm, gate and up, down; then the last norm and the head.
std::vector<Tensor> step(const Tensor& embedded, const Tensor& sequences, const Tensor& positions, const Tensor& tables,
                         const Tensor& wanted, const Tensor& angles, const Tensor& keys, const Tensor& values,
                         const Tensor& key_scales, const Tensor& value_scales, const std::vector<Tensor>& weights,
                         int heads, int inner, int vocabulary, int kind, int head_kind, float epsilon,
                         const std::string& isa) {
    const Kernels& kernels = choose(isa);
    const Cache cache{keys, values, key_scales, value_scales};
    const Shape shape{heads, cache.heads(), cache.width(), inner};
    const int tokens = (int)embedded.shape()[0], hidden = (int)embedded.shape()[1], layers = (int)keys.shape()[0];
    const int answers = (int)wanted.shape()[0], blocks = (int)tables.shape()[1], group = heads / shape.kv_heads;
    const int *sequence = sequences.data<int>(), *position = positions.data<int>(), *table = tables.data<int>();
    Tensor logits = paddle::empty({answers, vocabulary}, paddle::DataType::FLOAT32, paddle::CPUPlace());

    std::vector<float> x(embedded.data<float>(), embedded.data<float>() + (long)tokens * hidden);
    std::vector<float> y((long)tokens * std::max(hidden, shape.queries())), qkv((long)tokens * shape.together());
    std::vector<float> gate_up(2L * tokens * inner), mixed((long)tokens * std::max({hidden, inner, shape.queries()}));
    Room room;
    room.activations(nullptr, tokens, std::max({hidden, inner, shape.queries()}));

    const Activations normed = room.activations(y.data(), tokens, hidden);
    const Activations attended = room.activations(mixed.data(), tokens, shape.queries());
    const Activations last = room.activations(mixed.data(), tokens, hidden);
    const Activations gated = room.activations(mixed.data(), tokens, inner);

    // Row t of x (perhaps after the addition of y's) normed into y's, in the form that the next product wants.
    auto norm = [&](int t, const Tensor& weight, bool add) {
        float *own = &x[(long)t * hidden], *out = &y[(long)t * hidden];
        if (add) kernels.add(own, out, hidden);
        kernels.rms_norm(own, weight.data<float>(), out, hidden, epsilon);
        kernels.prepare((Kind)kind, normed, t);
    };

    // Every loop ends with all threads waiting for each other, so what can stand in one loop does.
#pragma omp parallel
    {
        std::vector<float> scores;
        for (int layer = 0; layer < layers; layer++) {
            const Tensor* w = &weights[layer * 6L];
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) norm(t, w[0], layer > 0);
            linear(kernels, (Kind)kind, w[1], normed, tokens, qkv.data(), shape.together());
#pragma omp for schedule(static) collapse(2)
            for (int t = 0; t < tokens; t++)
                for (int h = 0; h < heads + shape.kv_heads; h++) {
                    float* own = &qkv[(long)t * shape.together() + h * shape.width];
                    const float* cos = angles.data<float>() + (long)position[t] * shape.width;
                    kernels.rotate(own, cos, cos + shape.width / 2, shape.width);
                    if (h < heads) continue;
                    const int* row = table + (long)sequence[t] * blocks;
                    cache.write(kernels, cache.pages(keys, key_scales, layer, row, h - heads), position[t], own);
                    cache.write(kernels, cache.pages(values, value_scales, layer, row, h - heads), position[t],
                                own + shape.keys());
                }
#pragma omp for schedule(dynamic) collapse(2)
            for (int t = 0; t < tokens; t++)
                for (int h = 0; h < shape.kv_heads; h++) {
                    const int length = position[t] + 1, *row = table + (long)sequence[t] * blocks;
                    if ((long)scores.size() < (long)group * length) scores.resize(group * (length + 256L));
                    const long first = (long)h * group * shape.width;
                    kernels.attend(&qkv[(long)t * shape.together() + first], group, shape.width,
                                   cache.pages(keys, key_scales, layer, row, h),
                                   cache.pages(values, value_scales, layer, row, h), length, scores.data(),
                                   &mixed[(long)t * shape.queries() + first]);
                }
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) kernels.prepare((Kind)kind, attended, t);
            linear(kernels, (Kind)kind, w[2], attended, tokens, y.data(), hidden);
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) norm(t, w[3], true);
            linear(kernels, (Kind)kind, w[4], normed, tokens, gate_up.data(), 2 * inner);
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) {
                const float* gate = &gate_up[2L * t * inner];
                kernels.swiglu(gate, gate + inner, &mixed[(long)t * inner], inner);
                kernels.prepare((Kind)kind, gated, t);
            }
            linear(kernels, (Kind)kind, w[5], gated, tokens, y.data(), hidden);
        }
#pragma omp for schedule(static)
        for (int i = 0; i < answers; i++) {
            const long row = (long)wanted.data<int>()[i] * hidden;
            kernels.add(&x[row], &y[row], hidden);
            kernels.rms_norm(&x[row], weights[layers * 6L].data<float>(), &mixed[(long)i * hidden], hidden, epsilon);
            kernels.prepare((Kind)head_kind, last, i);
        }
        linear(kernels, (Kind)head_kind, weights[layers * 6L + 1], last, answers, logits.data<float>(), vocabulary);
    }
    return {logits};
}

// --- single kernels, for the tests and for choosing

std::vector<Tensor> linear_alone(const Tensor& x, const Tensor& packed, int rows, int kind, const std::string& isa) {
    const Kernels& kernels = choose(isa);
    const int tokens = (int)x.shape()[0], inputs = (int)x.shape()[1];
    Tensor y = paddle::empty({tokens, rows}, paddle::DataType::FLOAT32, paddle::CPUPlace());
    Room room;
    const Activations activations = room.activations(x.data<float>(), tokens, inputs);
    for (int t = 0; t < tokens; t++) kernels.prepare((Kind)kind, activations, t);
#pragma omp parallel
    linear(kernels, (Kind)kind, packed, activations, tokens, y.data<float>(), rows);
    return {y};
}

std::vector<Tensor> rms_norm_alone(const Tensor& x, const Tensor& weight, float epsilon, const std::string& isa) {
    Tensor y = paddle::empty_like(x);
    const int size = (int)x.shape()[1];
    for (int t = 0; t < x.shape()[0]; t++)
        choose(isa).rms_norm(x.data<float>() + (long)t * size, weight.data<float>(), y.data<float>() + (long)t * size,
                             size, epsilon);
    return {y};
}

std::vector<Tensor> rotate_alone(const Tensor& x, const Tensor& cos, const Tensor& sin, const std::string& isa) {
    Tensor y = x.copy_to(x.place(), true);
    const int width = (int)x.shape()[1];
    for (int t = 0; t < x.shape()[0]; t++)
        choose(isa).rotate(y.data<float>() + (long)t * width, cos.data<float>(), sin.data<float>(), width);
    return {y};
}

std::vector<Tensor> swiglu_alone(const Tensor& gate, const Tensor& up, const std::string& isa) {
    Tensor y = paddle::empty_like(gate);
    choose(isa).swiglu(gate.data<float>(), up.data<float>(), y.data<float>(), (int)gate.numel());
    return {y};
}

std::vector<Tensor> compress_alone(const Tensor& x, const std::string& isa) {
    const int rows = (int)x.shape()[0], width = (int)x.shape()[1];
    Tensor numbers = paddle::empty({rows, width}, paddle::DataType::INT8, paddle::CPUPlace());
    Tensor scales = paddle::empty({rows}, paddle::DataType::FLOAT32, paddle::CPUPlace());
    for (int r = 0; r < rows; r++)
        choose(isa).compress(x.data<float>() + (long)r * width, numbers.data<int8_t>() + (long)r * width,
                             scales.data<float>() + r, width);
    return {numbers, scales};
}

// query (group, width); keys and values (blocks, heads, block, width), int8 with scales (blocks, heads, block).
std::vector<Tensor> attend_alone(const Tensor& query, const Tensor& keys, const Tensor& values,
                                 const Tensor& key_scales, const Tensor& value_scales, const Tensor& table, int head,
                                 int length, const std::string& isa) {
    const bool int8 = keys.dtype() == paddle::DataType::INT8;
    const int group = (int)query.shape()[0], width = (int)query.shape()[1];
    const int heads = (int)keys.shape()[1], block = (int)keys.shape()[2];
    const Pages k{keys.data(), key_scales.data<float>(), table.data<int>(), block, heads, head, int8};
    const Pages v{values.data(), value_scales.data<float>(), table.data<int>(), block, heads, head, int8};
    std::vector<float> scores((long)group * length);
    Tensor out = paddle::empty_like(query);
    choose(isa).attend(query.data<float>(), group, width, k, v, length, scores.data(), out.data<float>());
    return {out};
}

// How many rows a panel has with these kernels; the shape of `like` is not looked at.
std::vector<Tensor> rows_of(const Tensor& like, const std::string& isa) {
    return {paddle::full({1}, choose(isa).rows, paddle::DataType::INT32, like.place())};
}

}  // namespace
}  // namespace llm

PD_BUILD_OP(llm_step)
    .Inputs({"embedded", "sequences", "positions", "tables", "wanted", "angles", "keys", "values", "key_scales",
             "value_scales", paddle::Vec("weights")})
    .Outputs({"logits"})
    .Attrs({"heads: int", "inner: int", "vocabulary: int", "kind: int", "head_kind: int", "epsilon: float",
            "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::step));
PD_BUILD_OP(llm_linear)
    .Inputs({"x", "packed"})
    .Outputs({"y"})
    .Attrs({"rows: int", "kind: int", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::linear_alone));
PD_BUILD_OP(llm_rms_norm)
    .Inputs({"x", "weight"})
    .Outputs({"y"})
    .Attrs({"epsilon: float", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::rms_norm_alone));
PD_BUILD_OP(llm_rotate)
    .Inputs({"x", "cos", "sin"})
    .Outputs({"y"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::rotate_alone));
PD_BUILD_OP(llm_swiglu)
    .Inputs({"gate", "up"})
    .Outputs({"y"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::swiglu_alone));
PD_BUILD_OP(llm_compress)
    .Inputs({"x"})
    .Outputs({"numbers", "scales"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::compress_alone));
PD_BUILD_OP(llm_attend)
    .Inputs({"query", "keys", "values", "key_scales", "value_scales", "table"})
    .Outputs({"out"})
    .Attrs({"head: int", "length: int", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::attend_alone));
PD_BUILD_OP(llm_rows)
    .Inputs({"like"})
    .Outputs({"rows"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::rows_of));
