// AVX2 with FMA and F16C: x86 since 2013. Only called where the CPU has them, so no other file is compiled this way.
#include <cstdint>
#include <cstring>
#include <initializer_list>
#if defined(__x86_64__)
#include <immintrin.h>
#pragma GCC target("avx2,fma,f16c")
#include "vectorised.h"

namespace llm {
namespace {

struct Avx2 {
    static constexpr const char* NAME = "avx2";
    static constexpr int LANES = 8, TILE = 4, FLOAT_TILE = 6;
    static constexpr int CHAINS = 2;
    static constexpr bool BFLOAT16_DOT = false;
    static constexpr float SIGNED_OFFSET = 0;
    using F = __m256;
    using I = __m256i;

    static F zero() { return _mm256_setzero_ps(); }
    static F all(float value) { return _mm256_set1_ps(value); }
    static F load(const float* x) { return _mm256_loadu_ps(x); }
    static F load(const uint16_t* x) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i*)x)); }
    static F load(const int8_t* x) { return real(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i*)x))); }
    static void store(float* x, F v) { _mm256_storeu_ps(x, v); }
    static void store_int8(int8_t* x, F v) {
        const I bits = _mm256_cvtps_epi32(v);
        const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
        _mm_storel_epi64((__m128i*)x, _mm_packs_epi16(words, words));
    }
    static F add(F a, F b) { return _mm256_add_ps(a, b); }
    static F multiply(F a, F b) { return _mm256_mul_ps(a, b); }
    static F divide(F a, F b) { return _mm256_div_ps(a, b); }
    static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
    static F max(F a, F b) { return _mm256_max_ps(a, b); }
    static F minimum(F a, F b) { return _mm256_min_ps(a, b); }
    static F absolute(F a) { return _mm256_andnot_ps(all(-0.0f), a); }
    static F nearest(F a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    static F power_of_two(F n) {
        const I exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    }
    static float total(F a) {
        __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
        return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
    }
    static float largest(F a) {
        __m128 most = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
        most = _mm_max_ps(most, _mm_movehl_ps(most, most));
        return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
    }
    static void store_halves(uint16_t* x, F v) {
        _mm_storeu_si128((__m128i*)x, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }

    // Have these sums done here. Else the compiler puts off the additions and lacks registers for what waits.
    static void settle(I (&sum)[2]) { asm("" : "+x"(sum[0]), "+x"(sum[1])); }
    static I no_bits() { return _mm256_setzero_si256(); }
    static I all_bits(int value) { return _mm256_set1_epi32(value); }
    static I load_bits(const uint8_t* x) { return _mm256_loadu_si256((const __m256i*)x); }
    static F real(I a) { return _mm256_cvtepi32_ps(a); }
    static I low_nibbles(I a) { return _mm256_and_si256(a, _mm256_set1_epi8(15)); }
    static I high_nibbles(I a) { return low_nibbles(_mm256_srli_epi16(a, 4)); }
    // Pairs of products stay 16 bits wide over a group: at most 8 * 2 * 15 * 127 = 30480.
    static I nibble_dot(I nibbles, I x, I sum) { return _mm256_add_epi16(sum, _mm256_maddubs_epi16(nibbles, x)); }
    static I nibble_sum(I sum) { return _mm256_madd_epi16(sum, _mm256_set1_epi16(1)); }
    // See packing.py: a head is 9 bits of a scale, which are a float's from 2^-20 on, and 7 of a zero in eighths.
    static I heads(const uint16_t* x) { return _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i*)x)); }
    static F head_scales(const uint16_t* x) {
        const I bits = _mm256_slli_epi32(_mm256_and_si256(heads(x), all_bits(0xff80)), 12);
        return _mm256_castsi256_ps(_mm256_add_epi32(bits, all_bits((127 - 20) << 23)));
    }
    static F head_zeros(const uint16_t* x) { return real(_mm256_and_si256(heads(x), all_bits(0x7f))); }
    // The multiplication takes one factor without sign: so |w| times x with the sign of w.
    struct Signed {
        I w, size;
        explicit Signed(const uint8_t* at) : w(load_bits(at)), size(_mm256_abs_epi8(w)) {}
        I multiply_add(I x, I sum) const {
            const I pairs = _mm256_maddubs_epi16(size, _mm256_sign_epi8(x, w));
            return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
        }
    };
    // The first input of all tokens, then the second: so few registers hold decoded weights at a time.
    template <int T>
    static void bfloat16_dot(F (&sum)[T][2], const uint8_t* w, const float* x, const uint16_t*, long inputs) {
        const I w0 = load_bits(w), w1 = load_bits(w + 32), upper = _mm256_set1_epi32((int)0xffff0000);
        const F first0 = _mm256_castsi256_ps(_mm256_slli_epi32(w0, 16));
        const F first1 = _mm256_castsi256_ps(_mm256_slli_epi32(w1, 16));
        for (int t = 0; t < T; t++) {
            const F value = all(x[t * inputs]);
            sum[t][0] = fma(first0, value, sum[t][0]);
            sum[t][1] = fma(first1, value, sum[t][1]);
        }
        const F second0 = _mm256_castsi256_ps(_mm256_and_si256(w0, upper));
        const F second1 = _mm256_castsi256_ps(_mm256_and_si256(w1, upper));
        for (int t = 0; t < T; t++) {
            const F value = all(x[t * inputs + 1]);
            sum[t][0] = fma(second0, value, sum[t][0]);
            sum[t][1] = fma(second1, value, sum[t][1]);
        }
    }
    static F float8(I a, int byte) {
        const I bits = _mm256_srl_epi32(a, _mm_cvtsi32_si128(8 * byte));
        const I sign = _mm256_slli_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x80)), 24);
        const I size = _mm256_slli_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x7f)), 20);
        return multiply(_mm256_castsi256_ps(_mm256_or_si256(sign, size)), all(0x1p120f));
    }
};

}  // namespace

const Kernels* avx2_kernels() {
    const bool here = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    return here ? Vectorised<Avx2>::table() : nullptr;
}

}  // namespace llm
#else
#include "kernels.h"
namespace llm {
const Kernels* avx2_kernels() { return nullptr; }
}  // namespace llm
#endif
