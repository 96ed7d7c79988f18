// Every kernel once, for any instruction set. V says what a register is and how it computes; see portable.cc, the
// plainest one. Nothing from the standard library's templates: this text is compiled for several instruction sets in
// one program, and the linker would keep one copy of a shared function, perhaps one that this CPU cannot run.
#pragma once
#include <cstring>

#include "attention.h"

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

    // --- activations

    static void prepare(Kind kind, const Activations& x, int token, int first, int count) {
        const long begin = (long)token * x.inputs + first, end = begin + count;
        if (kind == BFLOAT16 && V::BFLOAT16_DOT)
            for (long i = begin; i < end; i++) x.bfloat16[i] = to_bfloat16(x.values[i]);
        if (kind != INT8 && kind != INT4) return;
        for (long i = begin; i < end; i += GROUP) {
            const float sum = whole_numbers(x.values + i, x.numbers + i, x.scales + i / GROUP, GROUP);
            x.sums[i / GROUP] = x.scales[i / GROUP] * sum;
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
            fetch(w, token);
            const F w0 = V::load((const float*)w), w1 = V::load((const float*)w + LANES);
            for (int t = 0; t < T; t++) {
                const F value = V::all(row[(long)t * x.inputs + k]);
                sum[t][0] = V::fma(w0, value, sum[t][0]);
                sum[t][1] = V::fma(w1, value, sum[t][1]);
            }
        }
        finish<T>(sum, y, stride);
    }

    // The weights' way from memory is what takes time: have it begin early, when the first tokens pass by. Asking past
    // the end of the weights does nothing. (Inline by force: GCC takes away a call of what has no result.)
    __attribute__((always_inline)) static inline void fetch(const uint8_t* w, int token) {
        if (token == 0)
            for (int i = 0; i < 2 * BYTES; i += 64) __builtin_prefetch(w + AHEAD + i);
    }

    // Every CHAINS-th pair of inputs is added up by itself, whatever the number of tokens, so that an answer is the
    // same alone and among others. For few tokens all these sums are on their way at once: where a sum has to wait for
    // the one before it longer than the next weights take to come, one is not enough.
    template <int T>
    static void bfloat16_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        constexpr int CHAINS = V::CHAINS, TOGETHER = T < 4 ? CHAINS : 1;
        for (int first = 0; first < CHAINS; first += TOGETHER) {
            F sum[TOGETHER][T][2];
            for (int c = 0; c < TOGETHER; c++) clear<T>(sum[c]);
            for (long k = 0; k < x.inputs / 2; k += CHAINS) {  // inputs are whole groups
                for (int c = 0; c < CHAINS; c++) fetch(w + (k + c) * 2 * BYTES, token + first);
                for (int c = 0; c < TOGETHER; c++) {
                    const long pair = k + first + c, at = (long)token * x.inputs + 2 * pair;
                    V::template bfloat16_dot<T>(sum[c], w + pair * 2 * BYTES, x.values + at, x.bfloat16 + at, x.inputs);
                }
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
            fetch(w, token);
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
                fetch(w, token);
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

    // w = scale (q - zero / 8) with q from 0 to 15, so y += scale (scale_x Σ q x - zero / 8 Σ x).
    template <int T>
    static void int4_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        F sum[T][2];
        clear<T>(sum);
        const int groups = x.inputs / GROUP;
        for (int g = 0; g < groups; g++) {
            const uint16_t* head = (const uint16_t*)w;
            w += 2 * ROWS;
            I dots[T][2];
            for (int t = 0; t < T; t++) dots[t][0] = dots[t][1] = V::no_bits();
#pragma GCC unroll 1
            for (int k = 0; k < GROUP; k += 8, w += 2 * BYTES) {
                fetch(w, token);
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
            const F s0 = V::head_scales(head), s1 = V::head_scales(head + LANES);
            const F eighth = V::all(-0.125f);
            const F z0 = V::multiply(V::head_zeros(head), eighth), z1 = V::multiply(V::head_zeros(head + LANES), eighth);
            for (int t = 0; t < T; t++) {
                const long at = (long)(token + t) * groups + g;
                const F scale = V::all(x.scales[at]), total = V::all(x.sums[at]);
                const F d0 = V::fma(V::real(V::nibble_sum(dots[t][0])), scale, V::multiply(z0, total));
                const F d1 = V::fma(V::real(V::nibble_sum(dots[t][1])), scale, V::multiply(z1, total));
                sum[t][0] = V::fma(d0, s0, sum[t][0]);
                sum[t][1] = V::fma(d1, s1, sum[t][1]);
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
            Tiles<V>::template each_tile<FLOAT_TILE>(tokens, visit);
        else
            Tiles<V>::template each_tile<TILE>(tokens, visit);
    }

    static const Kernels* table() {
        static const Kernels kernels = {V::NAME,
                                        ROWS,
                                        prepare,
                                        panel,
                                        Elementwise<V>::rms_norm,
                                        Elementwise<V>::rotate,
                                        Elementwise<V>::gated,
                                        Elementwise<V>::add,
                                        compress,
                                        halve,
                                        Attention<V>::attend};
        return &kernels;
    }
};

}  // namespace llm
