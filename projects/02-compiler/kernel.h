/* What every generated kernel begins with: vectors, loads and stores of float32 and bfloat16, and functions.
 * A kernel of float64 defines REAL as double: the same lines, with the C library's functions lane by lane.
 *
 * GCC's vector types carry the operators + - * / and comparisons themselves; they become the machine's instructions,
 * whatever the machine (AVX-512, AVX2, NEON). Nothing is left to an auto-vectoriser's mood, and -ffast-math, which
 * would give up infinities and NaN, is not needed. The functions are polynomials after Cephes (S. L. Moshier) and
 * good to about 2 units in the last place of float32, tanh to 6.
 */
#include <stdint.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif
#if defined(REAL)
#define WIDE 1
typedef int64_t word;
#else
#define REAL float
typedef int32_t word;
#endif
enum { LANES = BYTES / sizeof(REAL) };
enum { SHARE = 16384, STREAM = 1 << 22 }; /* numbers: the least that is worth a thread; too many for the caches */
#define LEFT(width, j) ((width) % LANES == 0 || (width) - (j) >= LANES ? (int)LANES : (width) - (j))
#define UNROLL(width) ((width) % (4 * LANES) == 0 ? 4 : (width) % (2 * LANES) == 0 ? 2 : 1)
#define INLINE static inline __attribute__((always_inline))

typedef REAL vec __attribute__((vector_size(BYTES)));
typedef REAL loose_vec __attribute__((vector_size(BYTES), aligned(4), may_alias));
typedef word ivec __attribute__((vector_size(BYTES)));
typedef uint32_t uvec __attribute__((vector_size(BYTES)));
typedef uint16_t half __attribute__((vector_size(BYTES / 2)));
typedef uint16_t loose_half __attribute__((vector_size(BYTES / 2), aligned(2), may_alias));
typedef uint16_t bfloat16;

INLINE vec splat(REAL x) { return x - (vec){}; }
#if BYTES == 32 && !defined(WIDE) /* single instructions that GCC does not find by itself */
INLINE vec choose(ivec mask, vec yes, vec no) { return __builtin_ia32_blendvps256(no, yes, (vec)mask); }
INLINE vec above(vec a, vec b) { return __builtin_ia32_maxps256(a, b); }
INLINE vec below(vec a, vec b) { return __builtin_ia32_minps256(a, b); }
#else
INLINE vec choose(ivec mask, vec yes, vec no) { return (vec)(((ivec)yes & mask) | ((ivec)no & ~mask)); }
#if BYTES == 64 && !defined(WIDE)
INLINE vec above(vec a, vec b) { return __builtin_ia32_maxps512_mask(a, b, a, -1, 4); }
INLINE vec below(vec a, vec b) { return __builtin_ia32_minps512_mask(a, b, a, -1, 4); }
#else
INLINE vec above(vec a, vec b) { return choose(a > b, a, b); } /* b if one is NaN */
INLINE vec below(vec a, vec b) { return choose(a < b, a, b); }
#endif
#endif
#if BYTES == 64 && !defined(WIDE) /* the same where a is a number, else a */
#define NUMBER(a) __builtin_ia32_cmpps512_mask(a, a, 7, -1, 4)
INLINE vec larger(vec a, vec b) { return __builtin_ia32_maxps512_mask(a, b, a, NUMBER(a), 4); }
INLINE vec smaller(vec a, vec b) { return __builtin_ia32_minps512_mask(a, b, a, NUMBER(a), 4); }
#else
INLINE vec larger(vec a, vec b) { return choose(a != a, a, above(a, b)); } /* NaN wins, as in Paddle */
INLINE vec smaller(vec a, vec b) { return choose(a != a, a, below(a, b)); }
#endif

/* n lanes from p, the others zero; n is a constant wherever this is used. */
INLINE vec load_real(const REAL* p, int n) {
  if (n == LANES) return *(const loose_vec*)p;
  vec v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
INLINE vec load_uint8_t(const uint8_t* p, int n) {
  vec v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
INLINE vec load_int64_t(const int64_t* p, int n) {
  vec v = {};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
INLINE void store_real(REAL* p, vec v, int n) {
  if (n == LANES) *(loose_vec*)p = v;
  else for (int i = 0; i < n; ++i) p[i] = v[i];
}
#if defined(WIDE)
#define load_double load_real
#define store_double store_real
#else
#define load_float load_real
#define store_float store_real
INLINE vec load_bfloat16(const bfloat16* p, int n) {
  half h = {};
  if (n == LANES) h = *(const loose_half*)p;
  else for (int i = 0; i < n; ++i) h[i] = p[i];
  return (vec)(__builtin_convertvector(h, uvec) << 16);
}
INLINE void store_bfloat16(bfloat16* p, vec v, int n) { /* to the nearest, ties to even; NaN stays NaN */
  uvec bits = (uvec)v;
  uvec rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
  uvec nan = (uvec)(v != v);
  half h = __builtin_convertvector((rounded & ~nan) | (nan & 0x7fc0), half);
  if (n == LANES) *(loose_half*)p = h;
  else for (int i = 0; i < n; ++i) p[i] = h[i];
}
/* Past the caches, for results too large for them: the line is not read before it is written. Aligned, all lanes. */
INLINE void stream_float(float* p, vec v) {
#if defined(__AVX512F__)
  __builtin_ia32_movntps512(p, v);
#elif defined(__AVX__)
  __builtin_ia32_movntps256(p, v);
#elif defined(__SSE__)
  __builtin_ia32_movntps(p, v);
#else
  *(vec*)p = v;
#endif
}
#endif
#if defined(__SSE__)
#define STREAM_END __builtin_ia32_sfence()
#else
#define STREAM_END
#endif

/* v in the first n lanes and `rest` in the others, which must not count in a reduction. */
INLINE vec only(vec v, int n, REAL rest) {
  for (int i = n; i < LANES; ++i) v[i] = rest;
  return v;
}
#if BYTES == 64 && !defined(WIDE)
#define EACH_LANE {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
#elif BYTES == 64 || (BYTES == 32 && !defined(WIDE))
#define EACH_LANE {0, 1, 2, 3, 4, 5, 6, 7}
#elif BYTES == 32 || !defined(WIDE)
#define EACH_LANE {0, 1, 2, 3}
#else
#define EACH_LANE {0, 1}
#endif
INLINE vec turned(vec v, int by) { return __builtin_shuffle(v, ((ivec)EACH_LANE + by) & (LANES - 1)); }
#define OVER_LANES(both) \
  _Pragma("GCC unroll 4") for (int by = LANES / 2; by; by /= 2) v = both(v, turned(v, by)); \
  return v[0]
INLINE vec sum(vec a, vec b) { return a + b; }
INLINE REAL sum_of(vec v) { OVER_LANES(sum); }
INLINE REAL max_of(vec v) { OVER_LANES(larger); }
INLINE REAL min_of(vec v) { OVER_LANES(smaller); }

INLINE vec numbered(int j) { /* j, j + 1, j + 2 … */
  vec v;
  for (int i = 0; i < LANES; ++i) v[i] = j + i;
  return v;
}
INLINE vec sign(vec x) { return choose(x > 0, splat(1), choose(x < 0, splat(-1), x)); } /* of NaN and zero themselves */
#if defined(WIDE)
#define LANE_BY_LANE(name, function) \
  INLINE vec name(vec x) { \
    for (int i = 0; i < LANES; ++i) x[i] = function(x[i]); \
    return x; \
  }
LANE_BY_LANE(absolute, __builtin_fabs)
LANE_BY_LANE(root, __builtin_sqrt)
LANE_BY_LANE(exponential, __builtin_exp)
LANE_BY_LANE(logarithm, __builtin_log)
LANE_BY_LANE(hyperbolic_tangent, __builtin_tanh)
LANE_BY_LANE(error_function, __builtin_erf)
#else
INLINE vec absolute(vec x) { return (vec)((ivec)x & 0x7fffffff); }
INLINE vec root(vec x) {
#if defined(__AVX512F__)
  return __builtin_ia32_sqrtps512_mask(x, x, -1, 4);
#elif defined(__AVX__)
  return __builtin_ia32_sqrtps256(x);
#else
  vec r;
  for (int i = 0; i < LANES; ++i) r[i] = __builtin_sqrtf(x[i]);
  return r;
#endif
}
INLINE vec exponential(vec x) { /* below 1.7e-38, where float32 begins to lose digits, it is 0 */
  vec bounded = below(splat(89), above(splat(-87.33f), x)); /* NaN stays */
  vec shifted = bounded * 1.44269504088896341f + 12582912.0f; /* 1.5 * 2^23: rounded, n stands in the last bits */
  vec whole = shifted - 12582912.0f;
  vec r = bounded - whole * 0.693359375f + whole * 2.12194440e-4f;
  vec p = 1.9875691500e-4f * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1;
  return p * (vec)(((ivec)shifted << 23) + (126 << 23)) * 2; /* 2^(n-1) twice: 2^128 is none; 2^-127 becomes 0 */
}
INLINE vec logarithm(vec x) {
  ivec tiny = x < 1.17549435e-38f; /* subnormal, zero or negative */
  vec scaled = choose(tiny, x * 8388608.0f, x);
  ivec exponent = (((ivec)scaled >> 23) & 0xff) - 126 - (tiny & 23);
  vec m = (vec)(((ivec)scaled & 0x007fffff) | 0x3f000000);
  ivec low = m < 0.707106781186547524f;
  exponent += low; /* a true lane is -1 */
  m = choose(low, m + m, m) - 1;
  vec e = __builtin_convertvector(exponent, vec), z = m * m;
  vec p = 7.0376836292e-2f * m - 1.1514610310e-1f;
  p = p * m + 1.1676998740e-1f;
  p = p * m - 1.2420140846e-1f;
  p = p * m + 1.4249322787e-1f;
  p = p * m - 1.6668057665e-1f;
  p = p * m + 2.0000714765e-1f;
  p = p * m - 2.4999993993e-1f;
  p = p * m + 3.3333331174e-1f;
  vec y = p * m * z - 2.12194440e-4f * e - 0.5f * z;
  y = m + y + 0.693359375f * e;
  vec infinity = splat(__builtin_inff());
  y = choose(x == infinity, infinity, y);
  y = choose(x == 0, -infinity, y);
  return choose((x < 0) | (x != x), splat(__builtin_nanf("")), y);
}
INLINE vec hyperbolic_tangent(vec x) { /* x P(x²) / Q(x²), fitted to a relative error of 6.3e-8; beyond 9 it is 1 */
  vec bounded = below(splat(9), above(splat(-9), x)), z = bounded * bounded;
  vec p = 1.83254093e-11f * z - 1.28175577e-8f;
  p = p * z + 9.28320091e-6f;
  p = p * z + 2.92279807e-3f;
  p = p * z + 1.29212613e-1f;
  p = p * z + 1;
  vec q = 2.28362503e-4f * z + 2.37719023e-2f;
  q = q * z + 4.62545609e-1f;
  q = q * z + 1;
  return below(splat(1), above(splat(-1), bounded * p / q));
}
INLINE vec error_function(vec x) { /* small: a series; large: 1 - exp(-x²) p(1/(1 + x/2)), Numerical Recipes' erfc */
  vec size = absolute(x), z = x * x;
  vec p = 7.853861353153693e-5f * z - 8.010193625184903e-4f;
  p = p * z + 5.188327685732524e-3f;
  p = p * z - 2.685381193529856e-2f;
  p = p * z + 1.128358514861418e-1f;
  p = p * z - 3.761262582423300e-1f;
  p = (p * z + 1.128379165726710e+0f) * x;
  vec t = 1 / (1 + 0.5f * size);
  vec q = 0.17087277f * t - 0.82215223f;
  q = q * t + 1.48851587f;
  q = q * t - 1.13520398f;
  q = q * t + 0.27886807f;
  q = q * t - 0.18628806f;
  q = q * t + 0.09678418f;
  q = q * t + 0.37409196f;
  q = q * t + 1.00002368f;
  q = 1 - t * exponential(-z - 1.26551223f + t * q);
  q = (vec)((ivec)q | ((ivec)x & (int32_t)0x80000000));
  return choose(size < 1, p, choose(x != x, x, q));
}
#endif
INLINE vec inverse_root(vec x) { return 1 / root(x); }
INLINE vec logistic(vec x) { return 1 / (1 + exponential(-x)); }
