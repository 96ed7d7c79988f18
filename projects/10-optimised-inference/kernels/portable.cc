// Plain C++: what each operation means, lane by lane. It runs on any CPU, ARM included; compilers vectorise much of it.
#include <cmath>

#include "vectorised.h"

namespace llm {
namespace {

struct Portable {
    static constexpr const char* NAME = "portable";
    static constexpr int LANES = 8, TILE = 4, FLOAT_TILE = 4;
    static constexpr int CHAINS = 2;
    static constexpr bool BFLOAT16_DOT = false;
    static constexpr float SIGNED_OFFSET = 0;
    struct F { float lane[LANES]; };
    struct I { int32_t lane[LANES]; };

    template <class Operation>
    static F each(Operation operation) {
        F out;
        for (int i = 0; i < LANES; i++) out.lane[i] = operation(i);
        return out;
    }
    template <class Operation>
    static I each_bits(Operation operation) {
        I out;
        for (int i = 0; i < LANES; i++) out.lane[i] = operation(i);
        return out;
    }

    static F zero() { return all(0); }
    static F all(float value) { return each([&](int) { return value; }); }
    static F load(const float* x) { return each([&](int i) { return x[i]; }); }
    static F load(const uint16_t* x) { return each([&](int i) { return half(x[i]); }); }
    static F load(const int8_t* x) { return each([&](int i) { return (float)x[i]; }); }
    static void store(float* x, F v) { memcpy(x, v.lane, sizeof v); }
    static void store_int8(int8_t* x, F v) {
        for (int i = 0; i < LANES; i++) x[i] = (int8_t)nearbyintf(v.lane[i]);
    }
    static F add(F a, F b) { return each([&](int i) { return a.lane[i] + b.lane[i]; }); }
    static F multiply(F a, F b) { return each([&](int i) { return a.lane[i] * b.lane[i]; }); }
    static F divide(F a, F b) { return each([&](int i) { return a.lane[i] / b.lane[i]; }); }
    static F fma(F a, F b, F c) { return each([&](int i) { return a.lane[i] * b.lane[i] + c.lane[i]; }); }
    static F max(F a, F b) { return each([&](int i) { return a.lane[i] > b.lane[i] ? a.lane[i] : b.lane[i]; }); }
    static F minimum(F a, F b) { return each([&](int i) { return a.lane[i] < b.lane[i] ? a.lane[i] : b.lane[i]; }); }
    static F absolute(F a) { return each([&](int i) { return fabsf(a.lane[i]); }); }
    static F nearest(F a) { return each([&](int i) { return nearbyintf(a.lane[i]); }); }
    static F power_of_two(F n) { return each([&](int i) { return ldexpf(1, (int)n.lane[i]); }); }
    static float total(F a) {
        float sum = 0;
        for (float lane : a.lane) sum += lane;
        return sum;
    }
    static float largest(F a) {
        float most = a.lane[0];
        for (float lane : a.lane) most = lane > most ? lane : most;
        return most;
    }
    static float half(uint16_t bits) {
        const int exponent = (bits >> 10) & 31, fraction = bits & 1023;
        const float size = exponent ? ldexpf(1 + fraction / 1024.0f, exponent - 15) : ldexpf(fraction / 1024.0f, -14);
        return bits & 0x8000 ? -size : size;
    }
    // To the nearest, ties to even; beyond the largest to infinity. What is too small for a leading 1 is a multiple of
    // 2^-24.
    static uint16_t to_half(float value) {
        const uint32_t sign = std::signbit(value) ? 0x8000 : 0;
        const float size = fabsf(value);
        if (size < 0x1p-14f) return (uint16_t)(sign | (uint32_t)nearbyintf(size * 0x1p24f));
        uint32_t bits;
        memcpy(&bits, &size, 4);
        bits += 0xfff + ((bits >> 13) & 1);  // the bits that are cut off carry over
        const uint32_t half = (bits >> 13) - (112 << 10);
        return (uint16_t)(sign | (std::isnan(value) ? 0x7e00 : half < 0x7c00 ? half : 0x7c00));
    }
    static void store_halves(uint16_t* x, F v) {
        for (int i = 0; i < LANES; i++) x[i] = to_half(v.lane[i]);
    }
    static float as_float(uint32_t bits) {
        float value;
        memcpy(&value, &bits, 4);
        return value;
    }

    static void settle(I (&)[2]) {}
    static I no_bits() { return all_bits(0); }
    static I all_bits(int value) { return each_bits([&](int) { return value; }); }
    static I load_bits(const uint8_t* x) {
        I out;
        memcpy(out.lane, x, sizeof out);
        return out;
    }
    static F real(I a) { return each([&](int i) { return (float)a.lane[i]; }); }
    static I low_nibbles(I a) { return each_bits([&](int i) { return a.lane[i] & 0x0f0f0f0f; }); }
    static I high_nibbles(I a) { return each_bits([&](int i) { return (int)((uint32_t)a.lane[i] >> 4) & 0x0f0f0f0f; }); }
    // The four products of signed bytes in each lane, added up; nibbles are small signed bytes.
    static I dot(I a, I b, I sum) {
        return each_bits([&](int i) {
            int total = sum.lane[i];
            for (int j = 0; j < 4; j++) total += (int8_t)(a.lane[i] >> 8 * j) * (int8_t)(b.lane[i] >> 8 * j);
            return total;
        });
    }
    static I nibble_dot(I nibbles, I x, I sum) { return dot(nibbles, x, sum); }
    static I nibble_sum(I sum) { return sum; }
    // See packing.py: a head is 9 bits of a scale, which are a float's from 2^-20 on, and 7 of a zero in eighths.
    static F head_scales(const uint16_t* x) {
        return each([&](int i) { return as_float(((x[i] & 0xff80u) << 12) + ((127 - 20) << 23)); });
    }
    static F head_zeros(const uint16_t* x) { return each([&](int i) { return (float)(x[i] & 0x7f); }); }
    struct Signed {
        I w;
        explicit Signed(const uint8_t* at) : w(load_bits(at)) {}
        I multiply_add(I x, I sum) const { return dot(w, x, sum); }
    };
    // Each lane holds two bfloat16 of a row, which are the upper halves of floats.
    template <int T>
    static void bfloat16_dot(F (&sum)[T][2], const uint8_t* w, const float* x, const uint16_t*, long inputs) {
        for (int half = 0; half < 2; half++) {
            const I bits = load_bits(w + half * sizeof(I));
            for (int t = 0; t < T; t++)
                for (int i = 0; i < LANES; i++)
                    sum[t][half].lane[i] += as_float((uint32_t)bits.lane[i] << 16) * x[t * inputs] +
                                            as_float(bits.lane[i] & 0xffff0000) * x[t * inputs + 1];
        }
    }
    // e4m3: sign, 4 bits of exponent (bias 7), 3 of fraction. As a float's bits it is too small by 2^120.
    static F float8(I a, int byte) {
        return each([&](int i) {
            const uint32_t bits = (uint32_t)a.lane[i] >> 8 * byte;
            return as_float((bits & 0x80) << 24 | (bits & 0x7f) << 20) * 0x1p120f;
        });
    }
};

}  // namespace

const Kernels* portable_kernels() { return Vectorised<Portable>::table(); }

}  // namespace llm
