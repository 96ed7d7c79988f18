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

struct Weight {
    const uint8_t* bytes;
    long size;
    const float* floats() const { return (const float*)bytes; }
};

// The weights of a model in one piece of memory; `places` (weights, 2) says where each begins and how long it is. As
// tensors of their own they would take longer to pass than a layer to compute.
struct Weights {
    const uint8_t* memory;
    const int64_t* places;
    Weight operator[](int i) const { return {memory + places[2 * i], places[2 * i + 1]}; }
};

// y (tokens, rows) = x (tokens, inputs), prepared, times the packed weights, transposed. All threads of a parallel
// region call this together.
void linear(const Kernels& kernels, Kind kind, const Weight& packed, const Activations& x, int tokens, float* y,
            int rows) {
    const int panels = rows / kernels.rows;
    const long size = packed.size / panels;
#pragma omp for schedule(static)
    for (int p = 0; p < panels; p++) kernels.panel(kind, packed.bytes + p * size, x, tokens, y + p * kernels.rows, rows);
}

struct Shape {
    int heads, kv_heads, width, inner;
    int queries() const { return heads * width; }
    int keys() const { return kv_heads * width; }
    int together() const { return queries() + 2 * keys(); }
};

// The paged cache: keys (layers, blocks, kv_heads, width, block), values (layers, blocks, kv_heads, block, width), and
// the scales of 8-bit numbers (layers, blocks, kv_heads, block).
struct Cache {
    char *keys_base, *values_base;
    float *key_scales, *value_scales;
    int layers, blocks, heads, block, width, bytes;

    Cache(const Tensor& keys, const Tensor& values, const Tensor& key_scales, const Tensor& value_scales)
        : keys_base((char*)keys.data()), values_base((char*)values.data()),
          key_scales((float*)key_scales.data()), value_scales((float*)value_scales.data()) {
        const auto shape = values.shape();
        layers = (int)shape[0], blocks = (int)shape[1], heads = (int)shape[2], block = (int)shape[3];
        width = (int)shape[4], bytes = (int)phi::SizeOf(values.dtype());
    }

    Pages keys(int layer, const int* table, int head) const {
        return pages(keys_base, key_scales, layer, table, head);
    }
    Pages values(int layer, const int* table, int head) const {
        return pages(values_base, value_scales, layer, table, head);
    }
    Pages pages(char* base, float* scales, int layer, const int* table, int head) const {
        const long positions = (long)layer * blocks * heads * block;
        float* own = bytes == 1 ? scales + positions : nullptr;
        return {base + positions * width * bytes, own, table, block, heads, head, bytes};
    }

    void write_key(const Kernels& kernels, const Pages& keys, int position, const float* x) const {
        write(kernels, keys, position, x, position % block, block);
    }
    void write_value(const Kernels& kernels, const Pages& values, int position, const float* x) const {
        write(kernels, values, position, x, (long)(position % block) * width, 1);
    }

    // Write x (width) into the block of its position, its first number at `at`, the others `apart` from each other.
    void write(const Kernels& kernels, const Pages& pages, int position, const float* x, long at, int apart) const {
        const long slot = ((long)pages.table[position / block] * heads + pages.head) * block;
        at += slot * width;
        int8_t numbers[WIDEST];
        uint16_t halves[WIDEST];
        switch (bytes) {
            case 4: return place(x, (float*)pages.base + at, apart);
            case 2: kernels.halve(x, halves, width); return place(halves, (uint16_t*)pages.base + at, apart);
            case 1:
                kernels.compress(x, numbers, pages.scales + slot + position % block, width);
                return place(numbers, (int8_t*)pages.base + at, apart);
        }
    }
    template <class T>
    void place(const T* x, T* at, int apart) const {
        for (int i = 0; i < width; i++) at[(long)i * apart] = x[i];
    }
};

// One step: `tokens` rows, row t being position positions[t] of sequence sequences[t], whose blocks are the row of
// `tables`. Writes their keys and values into the cache and returns logits of the rows in `wanted`.
//
// The weights are, for each layer: norm, qkv, output, norm, gate and up, down; then the last norm and the head.
std::vector<Tensor> step(const Tensor& embedded, const Tensor& sequences, const Tensor& positions, const Tensor& tables,
                         const Tensor& wanted, const Tensor& angles, const Tensor& keys, const Tensor& values,
                         const Tensor& key_scales, const Tensor& value_scales, const Tensor& memory,
                         const Tensor& places, int heads, int inner, int vocabulary, int kind, int head_kind,
                         float epsilon, const std::string& isa) {
    const Kernels& kernels = choose(isa);
    const Cache cache(keys, values, key_scales, value_scales);
    const Weights weights{memory.data<uint8_t>(), places.data<int64_t>()};
    const Shape shape{heads, cache.heads, cache.width, inner};
    const int tokens = (int)embedded.shape()[0], hidden = (int)embedded.shape()[1], layers = cache.layers;
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
    auto norm = [&](int t, const Weight& weight, bool add) {
        float *own = &x[(long)t * hidden], *out = &y[(long)t * hidden];
        if (add) kernels.add(own, out, hidden);
        kernels.rms_norm(own, weight.floats(), out, hidden, epsilon);
        kernels.prepare((Kind)kind, normed, t);
    };

    // Every loop ends with all threads waiting for each other, so what can stand in one loop does.
#pragma omp parallel
    {
        std::vector<float> scores;
        for (int layer = 0; layer < layers; layer++) {
            const int first = layer * 6;
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) norm(t, weights[first], layer > 0);
            linear(kernels, (Kind)kind, weights[first + 1], normed, tokens, qkv.data(), shape.together());
#pragma omp for schedule(static) collapse(2)
            for (int t = 0; t < tokens; t++)
                for (int h = 0; h < heads + shape.kv_heads; h++) {
                    float* own = &qkv[(long)t * shape.together() + h * shape.width];
                    const float* cos = angles.data<float>() + (long)position[t] * shape.width;
                    kernels.rotate(own, cos, cos + shape.width / 2, shape.width);
                    if (h < heads) continue;
                    const int* row = table + (long)sequence[t] * blocks;
                    cache.write_key(kernels, cache.keys(layer, row, h - heads), position[t], own);
                    cache.write_value(kernels, cache.values(layer, row, h - heads), position[t], own + shape.keys());
                }
#pragma omp for schedule(dynamic) collapse(2)
            for (int t = 0; t < tokens; t++)
                for (int h = 0; h < shape.kv_heads; h++) {
                    const int length = position[t] + 1, *row = table + (long)sequence[t] * blocks;
                    const long needed = group * (length + (long)NEIGHBOURS);
                    if ((long)scores.size() < needed) scores.resize(needed + group * 256L);
                    const long own = (long)h * group * shape.width;
                    kernels.attend(&qkv[(long)t * shape.together() + own], group, shape.width,
                                   cache.keys(layer, row, h), cache.values(layer, row, h), length, scores.data(),
                                   &mixed[(long)t * shape.queries() + own]);
                }
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) kernels.prepare((Kind)kind, attended, t);
            linear(kernels, (Kind)kind, weights[first + 2], attended, tokens, y.data(), hidden);
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) norm(t, weights[first + 3], true);
            linear(kernels, (Kind)kind, weights[first + 4], normed, tokens, gate_up.data(), 2 * inner);
#pragma omp for schedule(static)
            for (int t = 0; t < tokens; t++) {
                const float* gate = &gate_up[2L * t * inner];
                kernels.swiglu(gate, gate + inner, &mixed[(long)t * inner], inner);
                kernels.prepare((Kind)kind, gated, t);
            }
            linear(kernels, (Kind)kind, weights[first + 5], gated, tokens, y.data(), hidden);
        }
#pragma omp for schedule(static)
        for (int i = 0; i < answers; i++) {
            const long row = (long)wanted.data<int>()[i] * hidden;
            kernels.add(&x[row], &y[row], hidden);
            kernels.rms_norm(&x[row], weights[layers * 6].floats(), &mixed[(long)i * hidden], hidden, epsilon);
            kernels.prepare((Kind)head_kind, last, i);
        }
        linear(kernels, (Kind)head_kind, weights[layers * 6 + 1], last, answers, logits.data<float>(), vocabulary);
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
    linear(kernels, (Kind)kind, {packed.data<uint8_t>(), packed.numel()}, activations, tokens, y.data<float>(), rows);
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

std::vector<Tensor> halve_alone(const Tensor& x, const std::string& isa) {
    Tensor halves = paddle::empty(x.shape(), paddle::DataType::FLOAT16, paddle::CPUPlace());
    choose(isa).halve(x.data<float>(), (uint16_t*)halves.data(), (int)x.numel());
    return {halves};
}

// query (group, width); keys (blocks, heads, width, block), values (blocks, heads, block, width), int8 with scales
// (blocks, heads, block).
std::vector<Tensor> attend_alone(const Tensor& query, const Tensor& keys, const Tensor& values,
                                 const Tensor& key_scales, const Tensor& value_scales, const Tensor& table, int head,
                                 int length, const std::string& isa) {
    const int group = (int)query.shape()[0], width = (int)query.shape()[1], bytes = (int)phi::SizeOf(keys.dtype());
    const int heads = (int)values.shape()[1], block = (int)values.shape()[2];
    const auto pages = [&](const Tensor& numbers, const Tensor& scales) {
        return Pages{(void*)numbers.data(), (float*)scales.data(), table.data<int>(), block, heads, head, bytes};
    };
    std::vector<float> scores(group * (length + (long)NEIGHBOURS));
    Tensor out = paddle::empty_like(query);
    choose(isa).attend(query.data<float>(), group, width, pages(keys, key_scales), pages(values, value_scales), length,
                       scores.data(), out.data<float>());
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
             "value_scales", "memory", "places"})
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
PD_BUILD_OP(llm_halve)
    .Inputs({"x"})
    .Outputs({"halves"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::halve_alone));
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
