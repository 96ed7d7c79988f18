// The kernels of one decoder layer, as a table of functions: one table for each instruction set.
//
// Weights lie in panels of `rows` output rows (two vector registers' worth). Within a panel the weights of one row
// come four bytes at a time, so that a register holds the same four bytes of neighbouring rows, and one multiply-add
// serves them all. packing.py writes this layout and describes it byte by byte.
#pragma once
#include <cstdint>

namespace llm {

enum Activation { SILU = 0, GELU_TANH = 1, GELU = 2 };
enum Kind { FLOAT32 = 0, BFLOAT16 = 1, INT8 = 2, INT4 = 3, FLOAT8 = 4 };
constexpr int GROUP = 32;  // inputs that share a scale, in weights and in activations
constexpr int NEIGHBOURS = 16;  // positions whose scores are computed together
constexpr int WIDEST = 512;     // a head
constexpr int AHEAD = 8192;     // bytes of weights or cache that are asked for before they are wanted

// Rows of activations (tokens, inputs), in the form that the weights' kind multiplies with.
struct Activations {
    int inputs;
    const float* values;
    uint16_t* bfloat16;
    int8_t* numbers;  // rounded to [-127, 127], by groups
    float* scales;    // (tokens, inputs / GROUP)
    float* sums;      // the sum of each group, in real units
};

// One sequence's keys or values for one head, in pages. A block of keys is (heads, width, size), so that a register
// holds the same input of neighbouring positions; a block of values is (heads, size, width).
struct Pages {
    void* base;
    float* scales;     // (heads, size) for each block, where numbers are of 8 bits
    const int* table;  // which block holds positions 0 .. size-1, size .. 2 size-1, ...
    int size;          // positions in a block: a multiple of NEIGHBOURS
    int heads, head;
    int bytes;  // of a number: 4 (float32), 2 (float16) or 1 (int8)
    bool near;  // they are in a near cache, because another row has just read them
};

struct Kernels {
    const char* name;
    int rows;  // of a panel
    // Bring inputs of row `token`, `count` from `first` on (whole groups), into the form for weights of this kind.
    void (*prepare)(Kind kind, const Activations& x, int token, int first, int count);
    // y[token * stride + row] of one panel for `tokens` rows of activations.
    void (*panel)(Kind kind, const uint8_t* weights, const Activations& x, int tokens, float* y, long stride);
    // The mean is over `count` of the numbers: what is behind them is 0, and fills whole registers.
    void (*rms_norm)(const float* x, const float* weight, float* y, int size, int count, float epsilon);
    // Turn the pairs (i, i + width / 2) by the angles of a position.
    void (*rotate)(float* x, const float* cos, const float* sin, int width);
    void (*gated)(Activation activation, const float* gate, const float* up, float* y, int size);
    void (*add)(float* x, const float* y, int size);
    // A head's key or value as 8-bit numbers with their scale, or as float16.
    void (*compress)(const float* x, int8_t* numbers, float* scale, int width);
    void (*halve)(const float* x, uint16_t* halves, int width);
    // `group` query heads over `length` positions of one key and value head, but not the first `unseen`; scores has
    // room for whole NEIGHBOURS. A score is the product times `scale`, and none is beyond `cap` unless that is 0.
    void (*attend)(const float* query, int group, int width, const Pages& keys, const Pages& values, int length,
                   int unseen, float scale, float cap, float* scores, float* out);
};

const Kernels* portable_kernels();
const Kernels* avx2_kernels();    // null where the CPU or the compiler has no AVX2
const Kernels* avx512_kernels();  // null without AVX512 with VNNI and BF16

}  // namespace llm
