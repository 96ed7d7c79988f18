// AVX512 with VNNI (four products of bytes in one instruction) and BF16: Intel since Cooper Lake, AMD since Zen 4.
#include <cstdint>
#include <cstring>
#include <initializer_list>
#if defined(__x86_64__)
#include <immintrin.h>
#pragma GCC target("avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16")
#include "vectorised.h"

namespace llm {
namespace {

struct Avx512 {
    static constexpr const char* NAME = "avx512";
    static constexpr int LANES = 16, TILE = 8, FLOAT_TILE = 8;
    static constexpr int CHAINS = 1;
    static constexpr bool BFLOAT16_DOT = true;
    static constexpr float SIGNED_OFFSET = 128;  // see Signed
    using F = __m512;
    using I = __m512i;

    static F zero() { return _mm512_setzero_ps(); }
    static F all(float value) { return _mm512_set1_ps(value); }
    static F load(const float* x) { return _mm512_loadu_ps(x); }
    static F load(const uint16_t* x) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i*)x)); }
    static F load(const int8_t* x) { return real(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i*)x))); }
    static void store(float* x, F v) { _mm512_storeu_ps(x, v); }
    static void store_int8(int8_t* x, F v) {
        _mm_storeu_si128((__m128i*)x, _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v)));
    }
    static F add(F a, F b) { return _mm512_add_ps(a, b); }
    static F multiply(F a, F b) { return _mm512_mul_ps(a, b); }
    static F divide(F a, F b) { return _mm512_div_ps(a, b); }
    static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
    static F max(F a, F b) { return _mm512_max_ps(a, b); }
    static F minimum(F a, F b) { return _mm512_min_ps(a, b); }
    static F absolute(F a) { return _mm512_abs_ps(a); }
    static F nearest(F a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
    static F power_of_two(F n) { return _mm512_scalef_ps(all(1), n); }
    static float total(F a) { return _mm512_reduce_add_ps(a); }
    static float largest(F a) { return _mm512_reduce_max_ps(a); }
    static void store_halves(uint16_t* x, F v) {
        _mm256_storeu_si256((__m256i*)x, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }

    static void settle(I (&sum)[2]) { asm("" : "+v"(sum[0]), "+v"(sum[1])); }
    static I no_bits() { return _mm512_setzero_si512(); }
    static I all_bits(int value) { return _mm512_set1_epi32(value); }
    static I load_bits(const uint8_t* x) { return _mm512_loadu_si512(x); }
    static F real(I a) { return _mm512_cvtepi32_ps(a); }
    static I low_nibbles(I a) { return _mm512_and_si512(a, _mm512_set1_epi8(15)); }
    static I high_nibbles(I a) { return low_nibbles(_mm512_srli_epi16(a, 4)); }
    static I nibble_dot(I nibbles, I x, I sum) { return _mm512_dpbusd_epi32(sum, nibbles, x); }
    static I nibble_sum(I sum) { return sum; }
    // See packing.py: a head is 9 bits of a scale, which are a float's from 2^-20 on, and 7 of a zero in eighths.
    static I heads(const uint16_t* x) { return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i*)x)); }
    static F head_scales(const uint16_t* x) {
        const I bits = _mm512_slli_epi32(_mm512_and_si512(heads(x), all_bits(0xff80)), 12);
        return _mm512_castsi512_ps(_mm512_add_epi32(bits, all_bits((127 - 20) << 23)));
    }
    static F head_zeros(const uint16_t* x) { return real(_mm512_and_si512(heads(x), all_bits(0x7f))); }
    // The instruction takes one factor without sign: so w + 128, and 128 Σ x is taken off at the end of the group.
    struct Signed {
        I w;
        explicit Signed(const uint8_t* at) : w(_mm512_xor_si512(load_bits(at), _mm512_set1_epi8((char)0x80))) {}
        I multiply_add(I x, I sum) const { return _mm512_dpbusd_epi32(sum, w, x); }
    };
    template <int T>
    static void bfloat16_dot(F (&sum)[T][2], const uint8_t* w, const float*, const uint16_t* x, long inputs) {
        const __m512bh w0 = (__m512bh)load_bits(w), w1 = (__m512bh)load_bits(w + 64);
        for (int t = 0; t < T; t++) {
            const __m512bh value = (__m512bh)all_bits(four_bytes(x + t * inputs));
            sum[t][0] = _mm512_dpbf16_ps(sum[t][0], w0, value);
            sum[t][1] = _mm512_dpbf16_ps(sum[t][1], w1, value);
        }
    }
    static F float8(I a, int byte) {
        const I bits = _mm512_srl_epi32(a, _mm_cvtsi32_si128(8 * byte));
        const I sign = _mm512_slli_epi32(_mm512_and_si512(bits, all_bits(0x80)), 24);
        const I size = _mm512_slli_epi32(_mm512_and_si512(bits, all_bits(0x7f)), 20);
        return multiply(_mm512_castsi512_ps(_mm512_or_si512(sign, size)), all(0x1p120f));
    }
};

}  // namespace

const Kernels* avx512_kernels() {
    const bool here = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bf16");
    return here ? Vectorised<Avx512>::table() : nullptr;
}

}  // namespace llm
#else
#include "kernels.h"
namespace llm {
const Kernels* avx512_kernels() { return nullptr; }
}  // namespace llm
#endif
