// Every kernel once, for any instruction set. V says what a register is and how it computes; see portable.cc, the
// plainest one. Nothing from the standard library's templates: this text is compiled for several instruction sets in
// one program, and the linker would keep one copy of a shared function, perhaps one that this CPU cannot run.
#pragma once
#include <cstring>
#include <initializer_list>

#include "kernels.h"

namespace llm {

static inline int four_bytes(const void* at) {
    int value;
    memcpy(&value, at, 4);
    return value;
}

template <class V>
struct Vectorised {
    using F = typename V::F;
    using I = typename V::I;
    static constexpr int LANES = V::LANES, ROWS = 2 * LANES, BYTES = 4 * LANES;
    static constexpr int TILE = V::TILE;  // tokens at once: as many as the registers hold
    static constexpr int FLOAT_TILE = V::FLOAT_TILE;  // where the weights need no registers to be decoded in
    static constexpr int AHEAD = 1024;  // bytes that are asked for before they are wanted

    // --- activations

    static void prepare(Kind kind, const Activations& x, int token) {
        const float* row = x.values + (long)token * x.inputs;
        if (kind == BFLOAT16 && V::BFLOAT16_DOT) {
            for (int i = 0; i < x.inputs; i++) x.bfloat16[(long)token * x.inputs + i] = to_bfloat16(row[i]);
        }
        if (kind != INT8 && kind != INT4) return;
        const int groups = x.inputs / GROUP;
        for (int g = 0; g < groups; g++) {
            int8_t* numbers = x.numbers + (long)token * x.inputs + g * GROUP;
            float* scale = x.scales + (long)token * groups + g;
            const float sum = whole_numbers(row + g * GROUP, numbers, scale, GROUP);
            x.sums[(long)token * groups + g] = *scale * sum;
        }
    }

    static uint16_t to_bfloat16(float value) {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // to the nearest, ties to even
    }

    static void compress(const float* x, int8_t* numbers, float* scale, int width) {
        whole_numbers(x, numbers, scale, width);
    }

    // The sum of the whole numbers up to 127 that stand for x once they are multiplied with the scale.
    static float whole_numbers(const float* x, int8_t* numbers, float* scale, int width) {
        F most = V::zero(), sum = V::zero();
        for (int i = 0; i < width; i += LANES) most = V::max(most, V::absolute(V::load(x + i)));
        const float largest = V::largest(most);
        *scale = largest / 127;
        const F up = V::all(largest > 0 ? 127 / largest : 0);
        for (int i = 0; i < width; i += LANES) {
            const F whole = V::nearest(V::multiply(V::load(x + i), up));
            V::store_int8(numbers + i, whole);
            sum = V::add(sum, whole);
        }
        return V::total(sum);
    }

    static void halve(const float* x, uint16_t* halves, int width) {
        for (int i = 0; i < width; i += LANES) V::store_halves(halves + i, V::load(x + i));
    }

    // --- products: T tokens with one panel

    template <int T>
    static void finish(F (&sum)[T][2], float* y, long stride) {
        for (int t = 0; t < T; t++) {
            V::store(y + t * stride, sum[t][0]);
            V::store(y + t * stride + LANES, sum[t][1]);
        }
    }

    template <int T>
    static void clear(F (&sum)[T][2]) {
        for (int t = 0; t < T; t++) sum[t][0] = sum[t][1] = V::zero();
    }

    template <int T>
    static void float32_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        F sum[T][2];
        clear<T>(sum);
        const float* row = x.values + (long)token * x.inputs;
        for (int k = 0; k < x.inputs; k++, w += 2 * BYTES) {
            const F w0 = V::load((const float*)w), w1 = V::load((const float*)w + LANES);
            for (int t = 0; t < T; t++) {
                const F value = V::all(row[(long)t * x.inputs + k]);
                sum[t][0] = V::fma(w0, value, sum[t][0]);
                sum[t][1] = V::fma(w1, value, sum[t][1]);
            }
        }
        finish<T>(sum, y, stride);
    }

    // For few tokens the weights' way from memory is what takes time: have it begin early. Asking past the end of the
    // weights does nothing.
    template <int T>
    static void fetch(const uint8_t* w, long ahead = AHEAD) {
        if (T < 4)
            for (int i = 0; i < 2 * BYTES; i += 64) __builtin_prefetch(w + ahead + i);
    }

    // The inputs are added up in CHAINS parts, whatever the number of tokens, so that an answer is the same alone and
    // among others. For few tokens several parts are on their way at once: one sum would wait for itself, for a
    // multiplication takes 4 cycles, and two can begin in each.
    template <int T>
    static void bfloat16_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        constexpr int CHAINS = 4, TOGETHER = T < 4 ? CHAINS : 1;
        const long pairs = x.inputs / 2, part = pairs / CHAINS;  // inputs are whole groups
        // What is ahead of a part's end is the same part of the next panel.
        const long until = part - AHEAD / (2 * BYTES), next_panel = AHEAD + (pairs - part) * 2 * BYTES;
        for (int first = 0; first < CHAINS; first += TOGETHER) {
            F sum[TOGETHER][T][2];
            for (int c = 0; c < TOGETHER; c++) clear<T>(sum[c]);
            for (long k = 0; k < part; k++)
                for (int c = 0; c < TOGETHER; c++) {
                    const long pair = (first + c) * part + k, at = (long)token * x.inputs + 2 * pair;
                    const uint8_t* weights = w + pair * 2 * BYTES;
                    fetch<T>(weights, k < until ? AHEAD : next_panel);
                    V::template bfloat16_dot<T>(sum[c], weights, x.values + at, x.bfloat16 + at, x.inputs);
                }
            for (int c = 0; c < TOGETHER; c++)
                for (int t = 0; t < T; t++)
                    for (int half = 0; half < 2; half++) {
                        float* out = y + t * stride + half * LANES;
                        V::store(out, first + c ? V::add(V::load(out), sum[c][t][half]) : sum[c][t][half]);
                    }
        }
    }

    template <int T>
    static void float8_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        F sum[T][2];
        clear<T>(sum);
        const F s0 = V::load((const float*)w), s1 = V::load((const float*)w + LANES);
        w += 2 * BYTES;
        const float* row = x.values + (long)token * x.inputs;
        for (int k = 0; k < x.inputs; k += 4, w += 2 * BYTES) {
            const I w0 = V::load_bits(w), w1 = V::load_bits(w + BYTES);
            for (int j = 0; j < 4; j++) {
                const F f0 = V::float8(w0, j), f1 = V::float8(w1, j);
                for (int t = 0; t < T; t++) {
                    const F value = V::all(row[(long)t * x.inputs + k + j]);
                    sum[t][0] = V::fma(f0, value, sum[t][0]);
                    sum[t][1] = V::fma(f1, value, sum[t][1]);
                }
            }
        }
        for (int t = 0; t < T; t++) {
            sum[t][0] = V::multiply(sum[t][0], s0);
            sum[t][1] = V::multiply(sum[t][1], s1);
        }
        finish<T>(sum, y, stride);
    }

    // y += scale_x (scale_w Σ w x): integers within a group, real numbers between groups.
    template <int T>
    static void int8_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        F sum[T][2];
        clear<T>(sum);
        const int groups = x.inputs / GROUP;
        for (int g = 0; g < groups; g++) {
            const F s0 = V::load((const uint16_t*)w), s1 = V::load((const uint16_t*)w + LANES);
            w += 2 * ROWS;
            I dots[T][2];
            for (int t = 0; t < T; t++) dots[t][0] = dots[t][1] = V::no_bits();
#pragma GCC unroll 1  // else more products are on the way than there are registers
            for (int k = 0; k < GROUP; k += 4, w += 2 * BYTES) {
                fetch<T>(w);
                const typename V::Signed w0(w), w1(w + BYTES);
                for (int t = 0; t < T; t++) {
                    const I value = V::all_bits(four_bytes(x.numbers + (long)(token + t) * x.inputs + g * GROUP + k));
                    dots[t][0] = w0.multiply_add(value, dots[t][0]);
                    dots[t][1] = w1.multiply_add(value, dots[t][1]);
                    V::settle(dots[t]);
                }
            }
            for (int t = 0; t < T; t++) {
                const long at = (long)(token + t) * groups + g;
                const F scale = V::all(x.scales[at]), excess = V::all(-V::SIGNED_OFFSET * x.sums[at]);
                sum[t][0] = V::fma(V::fma(V::real(dots[t][0]), scale, excess), s0, sum[t][0]);
                sum[t][1] = V::fma(V::fma(V::real(dots[t][1]), scale, excess), s1, sum[t][1]);
            }
        }
        finish<T>(sum, y, stride);
    }

    // w = scale q + minimum with q from 0 to 15, so y += scale_x (scale Σ q x) + minimum Σ x.
    template <int T>
    static void int4_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        F sum[T][2];
        clear<T>(sum);
        const int groups = x.inputs / GROUP;
        for (int g = 0; g < groups; g++) {
            const uint16_t* head = (const uint16_t*)w;
            w += 4 * ROWS;
            I dots[T][2];
            for (int t = 0; t < T; t++) dots[t][0] = dots[t][1] = V::no_bits();
#pragma GCC unroll 1
            for (int k = 0; k < GROUP; k += 8, w += 2 * BYTES) {
                fetch<T>(w);
                const I w0 = V::load_bits(w), w1 = V::load_bits(w + BYTES);
                const I low0 = V::low_nibbles(w0), low1 = V::low_nibbles(w1);
                const I high0 = V::high_nibbles(w0), high1 = V::high_nibbles(w1);
                for (int t = 0; t < T; t++) {
                    const int8_t* numbers = x.numbers + (long)(token + t) * x.inputs + g * GROUP + k;
                    const I first = V::all_bits(four_bytes(numbers));
                    dots[t][0] = V::nibble_dot(low0, first, dots[t][0]);
                    dots[t][1] = V::nibble_dot(low1, first, dots[t][1]);
                    const I second = V::all_bits(four_bytes(numbers + 4));
                    dots[t][0] = V::nibble_dot(high0, second, dots[t][0]);
                    dots[t][1] = V::nibble_dot(high1, second, dots[t][1]);
                    V::settle(dots[t]);
                }
            }
            const F s0 = V::load(head), s1 = V::load(head + LANES);
            const F m0 = V::load(head + ROWS), m1 = V::load(head + ROWS + LANES);
            for (int t = 0; t < T; t++) {
                const long at = (long)(token + t) * groups + g;
                const F scale = V::all(x.scales[at]), total = V::all(x.sums[at]);
                const F d0 = V::multiply(V::real(V::nibble_sum(dots[t][0])), scale);
                const F d1 = V::multiply(V::real(V::nibble_sum(dots[t][1])), scale);
                sum[t][0] = V::fma(d0, s0, V::fma(m0, total, sum[t][0]));
                sum[t][1] = V::fma(d1, s1, V::fma(m1, total, sum[t][1]));
            }
        }
        finish<T>(sum, y, stride);
    }

    template <int T>
    static void tile(Kind kind, const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        y += token * stride;
        switch (kind) {
            case FLOAT32: return float32_panel<T>(w, x, token, y, stride);
            case BFLOAT16: return bfloat16_panel<T>(w, x, token, y, stride);
            case INT8: return int8_panel<T>(w, x, token, y, stride);
            case INT4: return int4_panel<T>(w, x, token, y, stride);
            case FLOAT8: return float8_panel<T>(w, x, token, y, stride);
        }
    }

    // The panel stays in the nearest cache while all tokens pass by it.
    static void panel(Kind kind, const uint8_t* w, const Activations& x, int tokens, float* y, long stride) {
        const auto visit = [&](auto size, int token) { tile<size()>(kind, w, x, token, y, stride); };
        if (kind == FLOAT32 || kind == BFLOAT16)
            each_tile<FLOAT_TILE>(tokens, visit);
        else
            each_tile<TILE>(tokens, visit);
    }

    template <int T>
    struct Size {
        constexpr int operator()() const { return T; }
    };

    // Call visit(size, first token) for tiles of all the tokens, at most MOST in each.
    template <int MOST, class Visit>
    static void each_tile(int tokens, Visit visit) {
        int token = 0;
        for (; token + MOST <= tokens; token += MOST) visit(Size<MOST>(), token);
        if constexpr (MOST > 4)
            for (; token + 4 <= tokens; token += 4) visit(Size<4>(), token);
        for (; token + 2 <= tokens; token += 2) visit(Size<2>(), token);
        for (; token < tokens; token++) visit(Size<1>(), token);
    }

    // --- what stands between the products

    static void rms_norm(const float* x, const float* weight, float* y, int size, int count, float epsilon) {
        F squares = V::zero();
        for (int i = 0; i < size; i += LANES) squares = V::fma(V::load(x + i), V::load(x + i), squares);
        const F scale = V::all(1 / __builtin_sqrtf(V::total(squares) / count + epsilon));
        for (int i = 0; i < size; i += LANES)
            V::store(y + i, V::multiply(V::multiply(V::load(x + i), scale), V::load(weight + i)));
    }

    static void rotate(float* x, const float* cos, const float* sin, int width) {
        const int half = width / 2;
        for (int i = 0; i < half; i += LANES) {
            const F a = V::load(x + i), b = V::load(x + i + half), c = V::load(cos + i), s = V::load(sin + i);
            V::store(x + i, V::fma(a, c, V::multiply(V::multiply(b, s), V::all(-1))));
            V::store(x + i + half, V::fma(b, c, V::multiply(a, s)));
        }
    }

    // e^x by 2^n e^r with |r| <= log(2) / 2, and the polynomial of Cephes' expf.
    static F exponential(F x) {
        x = V::max(V::all(-87.0f), V::minimum(x, V::all(87.0f)));
        const F n = V::nearest(V::multiply(x, V::all(1.44269504f)));
        F r = V::fma(n, V::all(-0.693359375f), x);
        r = V::fma(n, V::all(2.12194440e-4f), r);
        F p = V::all(1.9875691500e-4f);
        for (float c : {1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 0.5f})
            p = V::fma(p, r, V::all(c));
        p = V::fma(V::multiply(p, r), r, V::add(r, V::all(1)));
        return V::multiply(p, V::power_of_two(n));
    }

    // x / (1 + e^-z)
    static F by_sigmoid(F x, F z) {
        return V::divide(x, V::add(V::all(1), exponential(V::multiply(z, V::all(-1)))));
    }

    // (1 + tanh u) / 2 is the sigmoid of 2 u.
    static F gelu_tanh(F x) {
        const F inner = V::fma(V::multiply(V::multiply(x, x), x), V::all(0.044715f), x);
        return by_sigmoid(x, V::multiply(inner, V::all(1.5957691216f)));
    }

    static void gated(Activation activation, const float* gate, const float* up, float* y, int size) {
        if (activation == GELU) {
            for (int i = 0; i < size; i++) y[i] = gate[i] / 2 * (1 + __builtin_erff(gate[i] * 0.70710678f)) * up[i];
            return;
        }
        for (int i = 0; i < size; i += LANES) {
            const F g = V::load(gate + i);
            const F active = activation == SILU ? by_sigmoid(g, g) : gelu_tanh(g);
            V::store(y + i, V::multiply(active, V::load(up + i)));
        }
    }

    static void add(float* x, const float* y, int size) {
        for (int i = 0; i < size; i += LANES) V::store(x + i, V::add(V::load(x + i), V::load(y + i)));
    }

    // --- attention

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
                         float* out) {
        F sum[H][PART];
        for (int h = 0; h < H; h++)
            for (int j = 0; j < PART; j++) sum[h][j] = V::zero();
        each_block<T>(values, length, width, [&](int first, int count, const T* numbers, const float*) {
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
    static void mix(const float* shares, long stride, const Pages& values, int length, int width, float* out) {
        int i = 0;
        for (; i + 4 * LANES <= width; i += 4 * LANES) mix_part<H, 4, T>(shares, stride, values, length, width, i, out);
        for (; i < width; i += 2 * LANES) mix_part<H, 2, T>(shares, stride, values, length, width, i, out);
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
        each_block<T>(keys, length, width, [&](int first, int count, const T* numbers, const float*) {
            each_tile<3>(group, [&](auto heads, int h) {
                for (int s = 0; s < count; s += NEIGHBOURS)
                    dots<heads()>(query + h * width, numbers + s, keys.size, width, scores + h * stride + first + s,
                                  stride);
            });
        });
        rescale<T>(scores, group, stride, keys, length, width, scale);
        for (int h = 0; h < group; h++) {
            if (cap) soften(scores + h * stride, length, cap);
            for (int s = 0; s < unseen; s++) scores[h * stride + s] = -1e30f;
            softmax(scores + h * stride, length);
        }
        if (values.bytes == 1) rescale<T>(scores, group, stride, values, length, width, 1);
        each_tile<3>(group, [&](auto heads, int h) {
            mix<heads(), T>(scores + h * stride, stride, values, length, width, out + h * width);
        });
    }

    static void softmax(float* x, int size) {
        const int whole = size - size % LANES;
        float most = x[0];
        if (whole) {
            F lanes = V::load(x);
            for (int i = LANES; i < whole; i += LANES) lanes = V::max(lanes, V::load(x + i));
            most = V::largest(lanes);
        }
        for (int i = whole; i < size; i++) most = x[i] > most ? x[i] : most;
        F lanes = V::zero();
        for (int i = 0; i < whole; i += LANES) {
            const F e = exponential(V::add(V::load(x + i), V::all(-most)));
            V::store(x + i, e);
            lanes = V::add(lanes, e);
        }
        float total = V::total(lanes);
        for (int i = whole; i < size; i++) total += x[i] = __builtin_expf(x[i] - most);
        for (int i = 0; i < whole; i += LANES) V::store(x + i, V::divide(V::load(x + i), V::all(total)));
        for (int i = whole; i < size; i++) x[i] /= total;
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

    static const Kernels* table() {
        static const Kernels kernels = {V::NAME, ROWS,   prepare, panel,    rms_norm,
                                        rotate,  gated,  add,     compress, halve, attend};
        return &kernels;
    }
};

}  // namespace llm
