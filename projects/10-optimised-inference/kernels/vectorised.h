// Every kernel once, for any instruction set. V says what a register is and how it computes; see portable.cc, the
// plainest one. Nothing from the standard library's templates: this text is compiled for several instruction sets in
// one program, and the linker would keep one copy of a shared function, perhaps one that this CPU cannot run.
#pragma once
#include <cstring>
#include <initializer_list>

#include "kernels.h"

namespace llm {

template <class V>
struct Vectorised {
    using F = typename V::F;
    using I = typename V::I;
    static constexpr int LANES = V::LANES, ROWS = 2 * LANES, BYTES = 4 * LANES;
    static constexpr int TILE = V::TILE;  // tokens at once: as many as the registers hold

    static int four(const void* at) {
        int value;
        memcpy(&value, at, 4);
        return value;
    }

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
            float scale;
            compress(row + g * GROUP, numbers, &scale, GROUP);
            int sum = 0;
            for (int i = 0; i < GROUP; i++) sum += numbers[i];
            x.scales[(long)token * groups + g] = scale;
            x.sums[(long)token * groups + g] = scale * sum;
        }
    }

    static uint16_t to_bfloat16(float value) {
        uint32_t bits;
        memcpy(&bits, &value, 4);
        return (uint16_t)((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);  // to the nearest, ties to even
    }

    static void compress(const float* x, int8_t* numbers, float* scale, int width) {
        F most = V::zero();
        for (int i = 0; i < width; i += LANES) most = V::max(most, V::absolute(V::load(x + i)));
        const float largest = V::largest(most);
        *scale = largest / 127;
        const F up = V::all(largest > 0 ? 127 / largest : 0);
        for (int i = 0; i < width; i += LANES) V::store_int8(numbers + i, V::multiply(V::load(x + i), up));
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

    template <int T>
    static void bfloat16_panel(const uint8_t* w, const Activations& x, int token, float* y, long stride) {
        F sum[T][2];
        clear<T>(sum);
        for (int k = 0; k < x.inputs; k += 2, w += 2 * BYTES) {
            const I w0 = V::load_bits(w), w1 = V::load_bits(w + BYTES);
            for (int t = 0; t < T; t++) {
                const long at = (long)(token + t) * x.inputs + k;
                V::bfloat16_dot(sum[t][0], sum[t][1], w0, w1, x.values + at, x.bfloat16 + at);
            }
        }
        finish<T>(sum, y, stride);
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
            const F s0 = V::halves((const uint16_t*)w), s1 = V::halves((const uint16_t*)w + LANES);
            w += 2 * ROWS;
            I dots[T][2];
            for (int t = 0; t < T; t++) dots[t][0] = dots[t][1] = V::no_bits();
            for (int k = 0; k < GROUP; k += 4, w += 2 * BYTES) {
                const typename V::Signed w0(w), w1(w + BYTES);
                for (int t = 0; t < T; t++) {
                    const I value = V::all_bits(four(x.numbers + (long)(token + t) * x.inputs + g * GROUP + k));
                    dots[t][0] = w0.multiply_add(value, dots[t][0]);
                    dots[t][1] = w1.multiply_add(value, dots[t][1]);
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
            for (int k = 0; k < GROUP; k += 8, w += 2 * BYTES) {
                const I w0 = V::load_bits(w), w1 = V::load_bits(w + BYTES);
                const I low0 = V::low_nibbles(w0), low1 = V::low_nibbles(w1);
                const I high0 = V::high_nibbles(w0), high1 = V::high_nibbles(w1);
                for (int t = 0; t < T; t++) {
                    const int8_t* numbers = x.numbers + (long)(token + t) * x.inputs + g * GROUP + k;
                    const I first = V::all_bits(four(numbers)), second = V::all_bits(four(numbers + 4));
                    dots[t][0] = V::nibble_dot(high0, second, V::nibble_dot(low0, first, dots[t][0]));
                    dots[t][1] = V::nibble_dot(high1, second, V::nibble_dot(low1, first, dots[t][1]));
                }
            }
            const F s0 = V::halves(head), s1 = V::halves(head + LANES);
            const F m0 = V::halves(head + ROWS), m1 = V::halves(head + ROWS + LANES);
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
        int token = 0;
        for (; token + TILE <= tokens; token += TILE) tile<TILE>(kind, w, x, token, y, stride);
        for (; token + 2 <= tokens; token += 2) tile<2>(kind, w, x, token, y, stride);
        for (; token < tokens; token++) tile<1>(kind, w, x, token, y, stride);
    }

    // --- what stands between the products

    static void rms_norm(const float* x, const float* weight, float* y, int size, float epsilon) {
        F squares = V::zero();
        for (int i = 0; i < size; i += LANES) squares = V::fma(V::load(x + i), V::load(x + i), squares);
        const F scale = V::all(1 / __builtin_sqrtf(V::total(squares) / size + epsilon));
        for (int i = 0; i < size; i += LANES)
            V::store(y + i, V::multiply(V::multiply(V::load(x + i), scale), V::load(weight + i)));
    }

    static void rotate(float* x, const float* cos, const float* sin, int width) {
        const int half = width / 2;
        for (int i = 0; i < half; i++) {
            const float a = x[i], b = x[i + half];
            x[i] = a * cos[i] - b * sin[i];
            x[i + half] = b * cos[i] + a * sin[i];
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

    static void swiglu(const float* gate, const float* up, float* y, int size) {
        for (int i = 0; i < size; i += LANES) {
            const F g = V::load(gate + i), one = V::all(1);
            const F e = exponential(V::multiply(g, V::all(-1)));
            V::store(y + i, V::multiply(V::divide(g, V::add(one, e)), V::load(up + i)));
        }
    }

    static void add(float* x, const float* y, int size) {
        for (int i = 0; i < size; i += LANES) V::store(x + i, V::add(V::load(x + i), V::load(y + i)));
    }

    // --- attention

    template <class T>
    static const T* at(const Pages& p, int position, int width) {
        const long slot = ((long)p.table[position / p.size] * p.heads + p.head) * p.size + position % p.size;
        return (const T*)p.base + slot * width;
    }

    static float scale_at(const Pages& p, int position) {
        if (!p.int8) return 1;
        return p.scales[((long)p.table[position / p.size] * p.heads + p.head) * p.size + position % p.size];
    }

    template <class T>
    static void attend_to(const float* query, int group, int width, const Pages& keys, const Pages& values, int length,
                          float* scores, float* out) {
        const float unit = 1 / __builtin_sqrtf((float)width);
        for (int s = 0; s < length; s++) {
            const T* key = at<T>(keys, s, width);
            const float scale = unit * scale_at(keys, s);
            for (int h = 0; h < group; h++) {
                F dot = V::zero();
                for (int i = 0; i < width; i += LANES)
                    dot = V::fma(V::load(key + i), V::load(query + h * width + i), dot);
                scores[(long)h * length + s] = V::total(dot) * scale;
            }
        }
        for (int h = 0; h < group; h++) softmax(scores + (long)h * length, length);
        memset(out, 0, sizeof(float) * group * width);
        for (int s = 0; s < length; s++) {
            const T* value = at<T>(values, s, width);
            const float scale = scale_at(values, s);
            for (int h = 0; h < group; h++) {
                const F share = V::all(scores[(long)h * length + s] * scale);
                float* o = out + h * width;
                for (int i = 0; i < width; i += LANES)
                    V::store(o + i, V::fma(share, V::load(value + i), V::load(o + i)));
            }
        }
    }

    static void softmax(float* x, int size) {
        float most = x[0];
        for (int i = 1; i < size; i++) most = x[i] > most ? x[i] : most;
        float total = 0;
        int i = 0;
        for (; i + LANES <= size; i += LANES) {
            const F e = exponential(V::add(V::load(x + i), V::all(-most)));
            V::store(x + i, e);
            total += V::total(e);
        }
        for (; i < size; i++) total += x[i] = __builtin_expf(x[i] - most);
        for (i = 0; i < size; i++) x[i] /= total;
    }

    static void attend(const float* query, int group, int width, const Pages& keys, const Pages& values, int length,
                       float* scores, float* out) {
        if (keys.int8)
            attend_to<int8_t>(query, group, width, keys, values, length, scores, out);
        else
            attend_to<float>(query, group, width, keys, values, length, scores, out);
    }

    static const Kernels* table() {
        static const Kernels kernels = {V::NAME, ROWS,   prepare, panel,    rms_norm,
                                        rotate,  swiglu, add,     compress, attend};
        return &kernels;
    }
};

}  // namespace llm
