// What a step of the decoder is made of: the memory of activations, weights, cache, and the choice of experts.
#pragma once
#include <algorithm>
#include <cmath>
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
    explicit operator bool() const { return size > 0; }
    Weight part(int number, int of) const { return {bytes + size / of * number, size / of}; }
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

// The sizes in whole registers and panels; what they are without that padding is `hidden_count` and `width_count`.
struct Shape {
    int heads, kv_heads, width, width_count, hidden, hidden_count, inner, experts, chosen, experts_inner;
    bool renormalised;
    Activation activation;
    float epsilon, scale, cap;
    int queries() const { return heads * width; }
    int keys() const { return kv_heads * width; }
    int together() const { return queries() + 2 * keys(); }
    int widest() const { return std::max({hidden, inner, queries(), experts_inner}); }
};

// What a layer has, in packing.py's order; an empty weight is one that it has not.
enum Slot {
    NORM, QKV, QKV_BIAS, Q_NORM, K_NORM, OUTPUT, OUTPUT_BIAS, BEHIND_ATTENTION, FEED_FORWARD_NORM, ROUTER, GATE_UP,
    GATE_UP_BIAS, DOWN, DOWN_BIAS, BEHIND_FEED_FORWARD, SLOTS
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

    Pages keys(int layer, const int* table, int head, bool near = false) const {
        return pages(keys_base, key_scales, layer, table, head, near);
    }
    Pages values(int layer, const int* table, int head, bool near = false) const {
        return pages(values_base, value_scales, layer, table, head, near);
    }
    Pages pages(char* base, float* scales, int layer, const int* table, int head, bool near) const {
        const long positions = (long)layer * blocks * heads * block;
        float* own = bytes == 1 ? scales + positions : nullptr;
        return {base + positions * width * bytes, own, table, block, heads, head, bytes, near};
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

// The rows of activations from `first` on.
Activations rows_from(const Activations& x, long first) {
    const long at = first * x.inputs, groups = first * (x.inputs / GROUP);
    return {x.inputs, x.values + at, x.bfloat16 + at, x.numbers + at, x.scales + groups, x.sums + groups};
}

// The experts of each of the tokens: sorted by expert, so that each computes all its rows at once.
struct Routes {
    std::vector<int> chosen, order, begin;  // (tokens, chosen); rows by expert; where each expert's begin
    std::vector<float> shares;              // (tokens, chosen)

    Routes(int tokens, const Shape& s) : chosen(tokens * s.chosen), order(chosen.size()), begin(s.experts + 1),
                                         shares(chosen.size()) {}

    void choose(int token, const float* x, const float* router, const Shape& s) {
        std::vector<float> scores(s.experts);
        for (int e = 0; e < s.experts; e++)
            for (int i = 0; i < s.hidden; i++) scores[e] += x[i] * router[(long)e * s.hidden + i];
        const float most = *std::max_element(scores.begin(), scores.end());
        float total = 0, kept = 0;
        for (float& score : scores) total += score = std::exp(score - most);
        for (int k = 0; k < s.chosen; k++) {
            const int best = (int)(std::max_element(scores.begin(), scores.end()) - scores.begin());
            chosen[token * s.chosen + k] = best;
            kept += shares[token * s.chosen + k] = scores[best] / total;
            scores[best] = -1;
        }
        if (s.renormalised)
            for (int k = 0; k < s.chosen; k++) shares[token * s.chosen + k] /= kept;
    }

    void sort() {
        std::fill(begin.begin(), begin.end(), 0);
        for (int expert : chosen) begin[expert + 1]++;
        for (size_t e = 1; e < begin.size(); e++) begin[e] += begin[e - 1];
        std::vector<int> next(begin.begin(), begin.end() - 1);
        for (size_t row = 0; row < chosen.size(); row++) order[next[chosen[row]]++] = (int)row;
    }
};

}  // namespace
}  // namespace llm
