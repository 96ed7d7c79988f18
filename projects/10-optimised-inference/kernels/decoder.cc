// The operators that Paddle calls: one step of the whole decoder, and each kernel alone for the tests.
#include "parts.h"

namespace llm {
namespace {

// One step: `tokens` rows, row t being position positions[t] of sequence sequences[t], whose blocks are the row of
// `tables`. Writes their keys and values into the cache and returns logits of the rows in `wanted`.
class Step {
public:
    Step(const Kernels& kernels, const Shape& shape, const Cache& cache, const Weights& weights, Kind kind,
         Kind head_kind, int tokens, const float* embedded)
        : kernels(kernels), s(shape), cache(cache), weights(weights), kind(kind), head_kind(head_kind), tokens(tokens),
          x(embedded, embedded + (long)tokens * s.hidden), y((long)tokens * std::max(s.hidden, s.queries())),
          qkv((long)tokens * s.together()), routes(tokens, s) {
        const long pairs = (long)tokens * std::max(1, s.chosen);
        gate_up.resize(std::max(2L * tokens * s.inner, 2 * pairs * s.experts_inner));
        mixed.resize(pairs * s.widest());
        if (s.experts) gathered.resize(pairs * s.hidden), made.resize(pairs * s.hidden);
        room.activations(nullptr, pairs, s.widest());
        normed = room.activations(y.data(), tokens, s.hidden);
        attended = room.activations(mixed.data(), tokens, s.queries());
        last = room.activations(mixed.data(), tokens, s.hidden);
        gated = room.activations(mixed.data(), tokens, s.inner);
        routed = room.activations(gathered.data(), pairs, s.hidden);
        routed_gated = room.activations(mixed.data(), pairs, s.experts_inner);
    }

    const int *sequence, *position, *table, *ropes, *windows;
    const int* turn;  // which of the angles each row turns by: its position's, unless it has angles of its own
    int blocks, context;
    const float* angles;  // (ropes, context, width)

    // All threads call this together. Every loop ends with all waiting for each other, so what can stand in one does.
    void layer(int number, std::vector<float>& scores) {
        const auto weight = [&](Slot slot) { return weights[number * SLOTS + slot]; };
#pragma omp for schedule(static)
        for (int t = 0; t < tokens; t++) {
            if (number) add(t, number - 1, DOWN_BIAS, BEHIND_FEED_FORWARD);
            norm(t, weight(NORM));
        }
        linear(kernels, kind, weight(QKV), normed, tokens, qkv.data(), s.together());
#pragma omp for schedule(static) collapse(2)
        for (int t = 0; t < tokens; t++)
            for (int h = 0; h < s.heads + s.kv_heads; h++) place(number, t, h);
#pragma omp for schedule(dynamic) collapse(2)
        for (int t = 0; t < tokens; t++)
            for (int h = 0; h < s.kv_heads; h++) attend(number, t, h, scores);
        linear(kernels, kind, weight(OUTPUT), attended, tokens, y.data(), s.hidden);
#pragma omp for schedule(static)
        for (int t = 0; t < tokens; t++) {
            add(t, number, OUTPUT_BIAS, BEHIND_ATTENTION);
            norm(t, weight(FEED_FORWARD_NORM));
            if (weight(ROUTER)) routes.choose(t, &y[(long)t * s.hidden], weight(ROUTER).floats(), s);
        }
        if (weight(ROUTER)) return experts(weight(GATE_UP), weight(DOWN));
        linear(kernels, kind, weight(GATE_UP), normed, tokens, gate_up.data(), 2 * s.inner);
#pragma omp for schedule(static) collapse(2)
        for (int t = 0; t < tokens; t++)
            for (int i = 0; i < s.inner; i += PIECE) gate(t, i, std::min(PIECE, s.inner - i), weight(GATE_UP_BIAS));
        linear(kernels, kind, weight(DOWN), gated, tokens, y.data(), s.hidden);
    }

    // Logits of the rows `wanted`; without a vocabulary what the head would be given, (answers, hidden).
    void head(const int* wanted, int answers, float* found, int vocabulary) {
        const int first = cache.layers * SLOTS;
#pragma omp for schedule(static)
        for (int i = 0; i < answers; i++) {
            add(wanted[i], cache.layers - 1, DOWN_BIAS, BEHIND_FEED_FORWARD);
            kernels.rms_norm(&x[(long)wanted[i] * s.hidden], weights[first].floats(), &mixed[(long)i * s.hidden],
                             s.hidden, s.hidden_count, s.epsilon);
            if (vocabulary) kernels.prepare(head_kind, last, i, 0, s.hidden);
        }
        if (vocabulary) return linear(kernels, head_kind, weights[first + 1], last, answers, found, vocabulary);
#pragma omp single
        std::copy_n(mixed.data(), (long)answers * s.hidden, found);
    }

private:
    static constexpr int PIECE = 8 * GROUP;  // gates that a thread computes at a time

    // Row t of y, with its bias and norm if it has them, is added to that of x.
    void add(int t, int layer, Slot bias_slot, Slot norm_slot) {
        float *own = &x[(long)t * s.hidden], *out = &y[(long)t * s.hidden];
        const Weight bias = weights[layer * SLOTS + bias_slot], behind = weights[layer * SLOTS + norm_slot];
        if (bias) kernels.add(out, bias.floats(), s.hidden);
        if (behind) kernels.rms_norm(out, behind.floats(), out, s.hidden, s.hidden_count, s.epsilon);
        kernels.add(own, out, s.hidden);
    }

    // Row t of x normed into y's, in the form that the next product wants.
    void norm(int t, const Weight& weight) {
        kernels.rms_norm(&x[(long)t * s.hidden], weight.floats(), &y[(long)t * s.hidden], s.hidden, s.hidden_count,
                         s.epsilon);
        kernels.prepare(kind, normed, t, 0, s.hidden);
    }

    // Query or key h of row t is turned; a key goes into the cache, and its value.
    void place(int layer, int t, int h) {
        float *row = &qkv[(long)t * s.together()], *own = row + (long)h * s.width, *value = own + s.keys();
        const bool key = h >= s.heads;
        if (const Weight bias = weights[layer * SLOTS + QKV_BIAS]) {
            kernels.add(own, bias.floats() + (own - row), s.width);
            if (key) kernels.add(value, bias.floats() + (value - row), s.width);
        }
        if (const Weight weight = weights[layer * SLOTS + (key ? K_NORM : Q_NORM)])
            kernels.rms_norm(own, weight.floats(), own, s.width, s.width_count, s.epsilon);
        if (ropes[layer] >= 0) {
            const float* cos = angles + ((long)ropes[layer] * context + turn[t]) * s.width;
            kernels.rotate(own, cos, cos + s.width / 2, s.width);
        }
        if (!key) return;
        const int* blocks_of = table + (long)sequence[t] * blocks;
        cache.write_key(kernels, cache.keys(layer, blocks_of, h - s.heads), position[t], own);
        cache.write_value(kernels, cache.values(layer, blocks_of, h - s.heads), position[t], value);
    }

    void attend(int layer, int t, int h, std::vector<float>& scores) {
        const int group = s.heads / s.kv_heads, block = cache.block;
        const int unseen = windows[layer] ? std::max(0, position[t] + 1 - windows[layer]) : 0, skipped = unseen / block;
        const int length = position[t] + 1 - skipped * block;
        const int* blocks_of = table + (long)sequence[t] * blocks + skipped;
        const bool near = t && sequence[t] == sequence[t - 1];
        const long needed = group * (length + (long)NEIGHBOURS), own = (long)h * group * s.width;
        if ((long)scores.size() < needed) scores.resize(needed + group * 256L);
        kernels.attend(&qkv[(long)t * s.together() + own], group, s.width, cache.keys(layer, blocks_of, h, near),
                       cache.values(layer, blocks_of, h, near), length, unseen - skipped * block, s.scale, s.cap,
                       scores.data(), &mixed[(long)t * s.queries() + own]);
        kernels.prepare(kind, attended, t, (int)own, group * s.width);
    }

    // `count` of row t's gates from `first` on, and what they let through.
    void gate(int t, int first, int count, const Weight& bias) {
        float *gate = &gate_up[2L * t * s.inner + first], *up = gate + s.inner;
        if (bias) {
            kernels.add(gate, bias.floats() + first, count);
            kernels.add(up, bias.floats() + s.inner + first, count);
        }
        kernels.gated(s.activation, gate, up, &mixed[(long)t * s.inner + first], count);
        kernels.prepare(kind, gated, t, first, count);
    }

    void experts(const Weight& up, const Weight& down) {
        const int pairs = tokens * s.chosen, inner = s.experts_inner;
#pragma omp single
        routes.sort();
#pragma omp for schedule(static)
        for (int j = 0; j < pairs; j++) {
            const float* row = &y[(long)(routes.order[j] / s.chosen) * s.hidden];
            std::copy(row, row + s.hidden, &gathered[(long)j * s.hidden]);
            kernels.prepare(kind, routed, j, 0, s.hidden);
        }
        each_expert(up, routed, gate_up.data(), 2 * inner);
#pragma omp for schedule(static)
        for (int j = 0; j < pairs; j++) {
            const float* gate = &gate_up[2L * j * inner];
            kernels.gated(s.activation, gate, gate + inner, &mixed[(long)j * inner], inner);
            kernels.prepare(kind, routed_gated, j, 0, inner);
        }
        each_expert(down, routed_gated, made.data(), s.hidden);
#pragma omp single
        std::fill(y.begin(), y.begin() + (long)tokens * s.hidden, 0.0f);
#pragma omp for schedule(static)
        for (int i = 0; i < s.hidden; i += GROUP)  // one thread adds to a place
            for (int j = 0; j < pairs; j++) {
                float* out = &y[(long)(routes.order[j] / s.chosen) * s.hidden + i];
                const float *row = &made[(long)j * s.hidden + i], share = routes.shares[routes.order[j]];
                for (int k = 0; k < GROUP; k++) out[k] += share * row[k];
            }
    }

    void each_expert(const Weight& all, const Activations& rows, float* out, int outputs) {
        for (int e = 0; e < s.experts; e++) {
            const int first = routes.begin[e], count = routes.begin[e + 1] - first;
            if (count)
                linear(kernels, kind, all.part(e, s.experts), rows_from(rows, first), count, out + (long)first * outputs,
                       outputs);
        }
    }

    const Kernels& kernels;
    const Shape s;
    const Cache cache;
    const Weights weights;
    const Kind kind, head_kind;
    const int tokens;
    std::vector<float> x, y, qkv, gate_up, mixed, gathered, made;
    Routes routes;
    Room room;
    Activations normed, attended, last, gated, routed, routed_gated;
};

// `rows` are how many rows are wanted and how many blocks a table has; then of each token its sequence, its position
// and which angles it turns by; the rows wanted; and the tables. `sizes` are Shape's whole numbers, then the vocabulary and
// the kinds of weights; `reals` its others; `layers` (2, layers) which rope turns each and how wide its window is.
std::vector<Tensor> step(const Tensor& embedded, const Tensor& rows, const Tensor& angles, const Tensor& keys,
                         const Tensor& values, const Tensor& key_scales, const Tensor& value_scales,
                         const Tensor& memory, const Tensor& places, const Tensor& layers,
                         const std::vector<int>& sizes, const std::vector<float>& reals, const std::string& isa) {
    const Kernels& kernels = choose(isa);
    const Cache cache(keys, values, key_scales, value_scales);
    const Weights weights{memory.data<uint8_t>(), places.data<int64_t>()};
    const Shape shape{sizes[0], cache.heads, cache.width, sizes[1], (int)embedded.shape()[1], sizes[2], sizes[3],
                      sizes[4], sizes[5], sizes[6], sizes[7] != 0, (Activation)sizes[8], reals[0], reals[1], reals[2]};
    const int tokens = (int)embedded.shape()[0], answers = rows.data<int>()[0], vocabulary = sizes[9];
    Step step(kernels, shape, cache, weights, (Kind)sizes[10], (Kind)sizes[11], tokens, embedded.data<float>());
    step.blocks = rows.data<int>()[1];
    step.sequence = rows.data<int>() + 2, step.position = step.sequence + tokens, step.turn = step.position + tokens;
    const int* wanted = step.turn + tokens;
    step.table = wanted + answers;
    step.angles = angles.data<float>(), step.context = (int)angles.shape()[1];
    step.ropes = layers.data<int>(), step.windows = step.ropes + cache.layers;
    const int width = vocabulary ? vocabulary : shape.hidden;
    Tensor logits = paddle::empty({answers, width}, paddle::DataType::FLOAT32, paddle::CPUPlace());
#pragma omp parallel
    {
        std::vector<float> scores;
        for (int layer = 0; layer < cache.layers; layer++) step.layer(layer, scores);
        step.head(wanted, answers, logits.data<float>(), vocabulary);
    }
    return {logits};
}

// --- single kernels, for the tests and for choosing

std::vector<Tensor> linear_alone(const Tensor& x, const Tensor& packed, int rows, int kind, const std::string& isa) {
    const Kernels& kernels = choose(isa);
    const int tokens = (int)x.shape()[0], inputs = (int)x.shape()[1];
    Tensor y = paddle::empty({tokens, rows}, paddle::DataType::FLOAT32, paddle::CPUPlace());
    Room room;
    const Activations activations = room.activations(x.data<float>(), tokens, inputs);
    for (int t = 0; t < tokens; t++) kernels.prepare((Kind)kind, activations, t, 0, inputs);
#pragma omp parallel
    linear(kernels, (Kind)kind, {packed.data<uint8_t>(), packed.numel()}, activations, tokens, y.data<float>(), rows);
    return {y};
}

std::vector<Tensor> rms_norm_alone(const Tensor& x, const Tensor& weight, float epsilon, const std::string& isa) {
    Tensor y = paddle::empty_like(x);
    const int size = (int)x.shape()[1];
    for (int t = 0; t < x.shape()[0]; t++)
        choose(isa).rms_norm(x.data<float>() + (long)t * size, weight.data<float>(), y.data<float>() + (long)t * size,
                             size, size, epsilon);
    return {y};
}

std::vector<Tensor> rotate_alone(const Tensor& x, const Tensor& cos, const Tensor& sin, const std::string& isa) {
    Tensor y = x.copy_to(x.place(), true);
    const int width = (int)x.shape()[1];
    for (int t = 0; t < x.shape()[0]; t++)
        choose(isa).rotate(y.data<float>() + (long)t * width, cos.data<float>(), sin.data<float>(), width);
    return {y};
}

std::vector<Tensor> gated_alone(const Tensor& gate, const Tensor& up, int activation, const std::string& isa) {
    Tensor y = paddle::empty_like(gate);
    choose(isa).gated((Activation)activation, gate.data<float>(), up.data<float>(), y.data<float>(), (int)gate.numel());
    return {y};
}

std::vector<Tensor> compress_alone(const Tensor& x, const std::string& isa) {
    const int rows = (int)x.shape()[0], width = (int)x.shape()[1];
    Tensor numbers = paddle::empty({rows, width}, paddle::DataType::INT8, paddle::CPUPlace());
    Tensor scales = paddle::empty({rows}, paddle::DataType::FLOAT32, paddle::CPUPlace());
    for (int r = 0; r < rows; r++)
        choose(isa).compress(x.data<float>() + (long)r * width, numbers.data<int8_t>() + (long)r * width,
                             scales.data<float>() + r, width);
    return {numbers, scales};
}

std::vector<Tensor> halve_alone(const Tensor& x, const std::string& isa) {
    Tensor halves = paddle::empty(x.shape(), paddle::DataType::FLOAT16, paddle::CPUPlace());
    choose(isa).halve(x.data<float>(), (uint16_t*)halves.data(), (int)x.numel());
    return {halves};
}

// query (group, width); keys (blocks, heads, width, block), values (blocks, heads, block, width), int8 with scales
// (blocks, heads, block).
std::vector<Tensor> attend_alone(const Tensor& query, const Tensor& keys, const Tensor& values,
                                 const Tensor& key_scales, const Tensor& value_scales, const Tensor& table, int head,
                                 int length, int unseen, float scale, float cap, const std::string& isa) {
    const int group = (int)query.shape()[0], width = (int)query.shape()[1], bytes = (int)phi::SizeOf(keys.dtype());
    const int heads = (int)values.shape()[1], block = (int)values.shape()[2];
    const auto pages = [&](const Tensor& numbers, const Tensor& scales) {
        return Pages{(void*)numbers.data(), (float*)scales.data(), table.data<int>(), block, heads, head, bytes, false};
    };
    std::vector<float> scores(group * (length + (long)NEIGHBOURS));
    Tensor out = paddle::empty_like(query);
    choose(isa).attend(query.data<float>(), group, width, pages(keys, key_scales), pages(values, value_scales), length,
                       unseen, scale, cap, scores.data(), out.data<float>());
    return {out};
}

// How many rows a panel has with these kernels; the shape of `like` is not looked at.
std::vector<Tensor> rows_of(const Tensor& like, const std::string& isa) {
    return {paddle::full({1}, choose(isa).rows, paddle::DataType::INT32, like.place())};
}

}  // namespace
}  // namespace llm

PD_BUILD_OP(llm_step)
    .Inputs({"embedded", "rows", "angles", "keys", "values", "key_scales", "value_scales", "memory", "places",
             "layers"})
    .Outputs({"logits"})
    .Attrs({"sizes: std::vector<int>", "reals: std::vector<float>", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::step));
PD_BUILD_OP(llm_linear)
    .Inputs({"x", "packed"})
    .Outputs({"y"})
    .Attrs({"rows: int", "kind: int", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::linear_alone));
PD_BUILD_OP(llm_rms_norm)
    .Inputs({"x", "weight"})
    .Outputs({"y"})
    .Attrs({"epsilon: float", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::rms_norm_alone));
PD_BUILD_OP(llm_rotate)
    .Inputs({"x", "cos", "sin"})
    .Outputs({"y"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::rotate_alone));
PD_BUILD_OP(llm_gated)
    .Inputs({"gate", "up"})
    .Outputs({"y"})
    .Attrs({"activation: int", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::gated_alone));
PD_BUILD_OP(llm_compress)
    .Inputs({"x"})
    .Outputs({"numbers", "scales"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::compress_alone));
PD_BUILD_OP(llm_halve)
    .Inputs({"x"})
    .Outputs({"halves"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::halve_alone));
PD_BUILD_OP(llm_attend)
    .Inputs({"query", "keys", "values", "key_scales", "value_scales", "table"})
    .Outputs({"out"})
    .Attrs({"head: int", "length: int", "unseen: int", "scale: float", "cap: float", "isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::attend_alone));
PD_BUILD_OP(llm_rows)
    .Inputs({"like"})
    .Outputs({"rows"})
    .Attrs({"isa: std::string"})
    .SetKernelFn(PD_KERNEL(llm::rows_of));
