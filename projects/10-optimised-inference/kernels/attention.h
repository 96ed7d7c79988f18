// Attention of a head over pages of keys and values, for any instruction set.
#pragma once
#include "elementwise.h"
#include "tiles.h"

namespace llm {

template <class V>
struct Attention {
    using F = typename V::F;
    static constexpr int LANES = V::LANES;

    // Ask for a block's numbers, as far ahead as vectorised.h does for weights. (Inline by force: see there.)
    template <class T>
    __attribute__((always_inline)) static inline void fetch(const Pages& p, int block, int length, int width) {
        if (p.near || block < 0 || block * p.size >= length) return;
        const long slot = ((long)p.table[block] * p.heads + p.head) * p.size, bytes = (long)p.size * width * sizeof(T);
        const char* numbers = (const char*)((const T*)p.base + slot * width);
        for (long i = 0; i < bytes; i += 64) __builtin_prefetch(numbers + i);
        if (p.bytes == 1) __builtin_prefetch(p.scales + slot);
    }

    // How many blocks that is.
    template <class T>
    static int ahead(const Pages& p, int width) {
        const int bytes = p.size * width * (int)sizeof(T);
        return bytes < AHEAD ? AHEAD / bytes : 1;
    }

    // Call visit(first position, how many, their numbers, their scales or null) for each block that has some.
    template <class T, class Visit>
    static void each_block(const Pages& p, int length, int width, Visit visit) {
        for (int first = 0, block = 0; first < length; first += p.size, block++) {
            const long slot = ((long)p.table[block] * p.heads + p.head) * p.size;
            const int count = length - first < p.size ? length - first : p.size;
            visit(first, count, (const T*)p.base + slot * width, p.bytes == 1 ? p.scales + slot : nullptr);
        }
    }

    // out[h * stride + s] = query h · key s for H heads and NEIGHBOURS positions of a block.
    template <int H, class T>
    static void dots(const float* query, const T* keys, int size, int width, float* out, long stride) {
        constexpr int PART = NEIGHBOURS / LANES;
        constexpr int CHAINS = 4 / PART;  // one sum would wait for itself
        F sum[H][CHAINS][PART];
        for (int h = 0; h < H; h++)
            for (int c = 0; c < CHAINS; c++)
                for (int j = 0; j < PART; j++) sum[h][c][j] = V::zero();
        for (int i = 0; i < width; i += CHAINS)
            for (int c = 0; c < CHAINS; c++)
                for (int j = 0; j < PART; j++) {
                    const F key = V::load(keys + (long)(i + c) * size + j * LANES);
                    for (int h = 0; h < H; h++)
                        sum[h][c][j] = V::fma(key, V::all(query[h * width + i + c]), sum[h][c][j]);
                }
        for (int h = 0; h < H; h++)
            for (int j = 0; j < PART; j++) {
                for (int c = 1; c < CHAINS; c++) sum[h][0][j] = V::add(sum[h][0][j], sum[h][c][j]);
                V::store(out + h * stride + j * LANES, sum[h][0][j]);
            }
    }

    // out[h * width + i] = Σ shares[h * stride + s] values[s * width + i] for H heads, and PART registers of i.
    template <int H, int PART, class T>
    static void mix_part(const float* shares, long stride, const Pages& values, int length, int width, int i,
                         float* out, bool asking) {
        F sum[H][PART];
        for (int h = 0; h < H; h++)
            for (int j = 0; j < PART; j++) sum[h][j] = V::zero();
        each_block<T>(values, length, width, [&](int first, int count, const T* numbers, const float*) {
            if (asking) fetch<T>(values, first / values.size + ahead<T>(values, width), length, width);
            for (int s = 0; s < count; s++)
                for (int j = 0; j < PART; j++) {
                    const F value = V::load(numbers + (long)s * width + i + j * LANES);
                    for (int h = 0; h < H; h++)
                        sum[h][j] = V::fma(V::all(shares[h * stride + first + s]), value, sum[h][j]);
                }
        });
        for (int h = 0; h < H; h++)
            for (int j = 0; j < PART; j++) V::store(out + h * width + i + j * LANES, sum[h][j]);
    }

    template <int H, class T>
    static void mix(const float* shares, long stride, const Pages& values, int length, int width, float* out,
                    bool asking) {
        int i = 0;
        for (; i + 4 * LANES <= width; i += 4 * LANES)
            mix_part<H, 4, T>(shares, stride, values, length, width, i, out, asking && i == 0);
        for (; i < width; i += 2 * LANES)
            mix_part<H, 2, T>(shares, stride, values, length, width, i, out, asking && i == 0);
    }

    // scores[h * stride + s] *= unit, and the scale of position s where numbers have one.
    template <class T>
    static void rescale(float* scores, int group, long stride, const Pages& numbers, int length, int width,
                        float unit) {
        each_block<T>(numbers, length, width, [&](int first, int count, const T*, const float* scales) {
            for (int h = 0; h < group; h++)
                for (int s = 0; s < count; s++) scores[h * stride + first + s] *= scales ? unit * scales[s] : unit;
        });
    }

    // cap tanh(x / cap)
    static void soften(float* x, int size, float cap) {
        for (int i = 0; i < size; i++) x[i] = cap * __builtin_tanhf(x[i] / cap);
    }

    // A key or value that is read serves three heads, as many as there are registers for.
    template <class T>
    static void attend_to(const float* query, int group, int width, const Pages& keys, const Pages& values, int length,
                          int unseen, float scale, float cap, float* scores, float* out) {
        const long stride = (length + NEIGHBOURS - 1) / NEIGHBOURS * NEIGHBOURS;
        const int blocks = (length + keys.size - 1) / keys.size, ahead = Attention::ahead<T>(keys, width);
        for (int block = 0; block < ahead; block++) fetch<T>(keys, block, length, width);
        each_block<T>(keys, length, width, [&](int first, int count, const T* numbers, const float*) {
            const int asked = first / keys.size + ahead;
            fetch<T>(keys, asked, length, width);
            fetch<T>(values, asked - blocks, length, width);
            Tiles<V>::template each_tile<3>(group, [&](auto heads, int h) {
                for (int s = 0; s < count; s += NEIGHBOURS)
                    dots<heads()>(query + h * width, numbers + s, keys.size, width, scores + h * stride + first + s,
                                  stride);
            });
        });
        rescale<T>(scores, group, stride, keys, length, width, scale);
        for (int h = 0; h < group; h++) {
            if (cap) soften(scores + h * stride, length, cap);
            for (int s = 0; s < unseen; s++) scores[h * stride + s] = -1e30f;
            Elementwise<V>::softmax(scores + h * stride, length);
        }
        if (values.bytes == 1) rescale<T>(scores, group, stride, values, length, width, 1);
        Tiles<V>::template each_tile<3>(group, [&](auto heads, int h) {
            mix<heads(), T>(scores + h * stride, stride, values, length, width, out + h * width, h == 0);
        });
    }

    static void attend(const float* query, int group, int width, const Pages& keys, const Pages& values, int length,
                       int unseen, float scale, float cap, float* scores, float* out) {
        const auto to = [&](auto* attend_to) {
            attend_to(query, group, width, keys, values, length, unseen, scale, cap, scores, out);
        };
        switch (keys.bytes) {
            case 4: return to(&attend_to<float>);
            case 2: return to(&attend_to<uint16_t>);
            case 1: return to(&attend_to<int8_t>);
        }
    }
};

}  // namespace llm
