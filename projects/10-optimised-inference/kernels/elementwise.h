// What stands between the products: norms, rotations, activations and the softmax, for any instruction set.
#pragma once
#include <initializer_list>

#include "kernels.h"

namespace llm {

template <class V>
struct Elementwise {
    using F = typename V::F;
    static constexpr int LANES = V::LANES;

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
};

}  // namespace llm
