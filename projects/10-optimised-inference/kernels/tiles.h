// Tiles: few rows at once, as many as the registers hold. A size is a type, so that its loops are unrolled.
#pragma once

namespace llm {

template <class V>
struct Tiles {
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
};

}  // namespace llm
