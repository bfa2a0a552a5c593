// Monotonic alignment of a strip of tokens, once per instruction set, into the namespace COALIGN_SET.
#include "ctc/monotonic_kernels.hpp"

#include <cstddef>
#include <limits>
#include <utility>

#include "core/lanes.hpp"
#include "core/lanes/wide.hpp"

namespace coalign::COALIGN_SET {
namespace {

using ctc::kStrip;
using ctc::kTile;
using ctc::Strip;
using ctc::StripBits;

// So far ahead of what is read is fetched: 16 problems of 512 x 2048 float64 scores took 13.1 ms without it and 9.8
// with it, those of float32 about 6.5 either way (Zen 4, one thread, on a machine that was not idle).
constexpr std::int64_t kAhead = 4 * kTile;
constexpr int kVectors = kStrip / kWidth<double>;

// Each lane takes its lower neighbour's value; the lowest takes the top lane of `below`.
template <int... I>
[[gnu::always_inline]] inline Float64Lanes shift_up(Float64Lanes v, Float64Lanes below,
                                                    std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(below, v, (I + kWidth<double> - 1)...);
}

// The scores of kTile frames, for each a row of kStrip tokens. Their sums are in float64 whatever they are: beside it
// float32 saves little here, and would lose the digits of a sum over thousands of frames.
template <class T>
struct Tile {
    alignas(64) T values[kTile * kStrip];
};

// Sums that are NaN once a score was NaN or +inf; -inf is a score. Several, as each waits for its last addition.
template <class T>
struct Check {
    [[gnu::always_inline]] void add(Vec<T> scores, int turn) {
        Vec<T>& sum = sums[turn % kSums];
        sum = fused(larger(splat(std::numeric_limits<T>::lowest()), scores), Vec<T>{}, sum);
    }
    [[gnu::always_inline]] Vec<T> all() const { return (sums[0] + sums[1]) + (sums[2] + sums[3]); }

    static constexpr int kSums = 4;
    Vec<T> sums[kSums] = {};
};

// Tokens whose frames lie side by side. Returns what `Check` does.
template <class T>
[[gnu::always_inline]] inline Vec<T> read_turned(Tile<T>& tile, const T* first, std::int64_t token_stride) {
    Check<T> check;
    for (int token = 0; token < kStrip; ++token)
        for (std::size_t at = 0; at < kTile * sizeof(T); at += 64)
            __builtin_prefetch(reinterpret_cast<const char*>(first + token * token_stride + kAhead) + at);
    for (int token = 0; token < kStrip; token += kWidth<T>) {
        const T* lines[kWidth<T>];
        for (int line = 0; line < kWidth<T>; ++line) lines[line] = first + (token + line) * token_stride;
        for (std::int64_t frame = 0; frame < kTile; frame += kWidth<T>) {
            Vec<T> square[kWidth<T>];
            load_turned(lines, frame, square);
#pragma GCC unroll 16
            for (int k = 0; k < kWidth<T>; ++k) {
                store(tile.values + (frame + k) * kStrip + token, square[k]);
                check.add(square[k], k);
            }
        }
    }
    return check.all();
}

// The same of frames whose tokens lie side by side.
template <class T>
[[gnu::always_inline]] inline Vec<T> read_straight(Tile<T>& tile, const T* first, std::int64_t frame_stride) {
    Check<T> check;
    for (std::int64_t frame = 0; frame < kTile; frame += Check<T>::kSums)
#pragma GCC unroll 4
        for (int k = 0; k < Check<T>::kSums; ++k)
#pragma GCC unroll 8
            for (int token = 0; token < kStrip; token += kWidth<T>) {
                const Vec<T> scores = load(first + (frame + k) * frame_stride + token);
                store(tile.values + (frame + k) * kStrip + token, scores);
                check.add(scores, k);
            }
    return check.all();
}

// The same of any part of a tile; -inf where a token cannot be.
template <class T>
[[gnu::noinline]] bool read_carefully(Tile<T>& tile, const Strip<T>& strip, std::int64_t from, std::int64_t count) {
    for (std::int64_t at = 0; at < kTile * kStrip; at += kWidth<T>) store(tile.values + at, -infinity<T>());
    bool right = true;
    for (std::int64_t token = 0; token < strip.tokens; ++token) {
        const std::int64_t last = token + strip.slack, stop = from + count <= last ? from + count : last + 1;
        for (std::int64_t f = from > token ? from : token; f < stop; ++f) {
            const T score = strip.score[token * strip.token_stride + f * strip.frame_stride];
            right &= score < std::numeric_limits<T>::infinity();
            tile.values[(f - from) * kStrip + token] = score;
        }
    }
    return right;
}

template <class T>
bool advance(const Strip<T>& strip, std::int64_t from, std::int64_t to) {
    constexpr auto lanes = std::make_integer_sequence<int, kWidth<double>>{};
    Tile<T> tile;
    Vec<T> wrong{};
    bool right = true;
    Float64Lanes best[kVectors];
    for (int v = 0; v < kVectors; ++v) best[v] = load(strip.best + v * kWidth<double>);
    for (std::int64_t at = from; at < to; at += kTile) {
        const T* const first = strip.score + at * strip.frame_stride;
        const std::int64_t count = to - at < kTile ? to - at : kTile;
        // In a whole tile every token can be at every frame.
        const bool is_whole =
            count == kTile && strip.tokens == kStrip && at >= kStrip - 1 && at + kTile - 1 <= strip.slack;
        if (is_whole && strip.frame_stride == 1) wrong += read_turned(tile, first, strip.token_stride);
        else if (is_whole && strip.token_stride == 1) wrong += read_straight(tile, first, strip.frame_stride);
        else right &= read_carefully(tile, strip, at, count);
        for (std::int64_t k = 0; k < count; ++k) {
            const std::int64_t f = at + k;
            Float64Lanes below = splat(strip.before[f]);
            unsigned moved = 0;
#pragma GCC unroll 8
            for (int v = 0; v < kVectors; ++v) {
                const Float64Lanes stays = best[v], moves = shift_up(stays, below, lanes);
                below = stays;
                moved |= bits_less(stays, moves) << (v * kWidth<double>);
                best[v] = maximum(stays, moves) + widened(tile.values + k * kStrip + v * kWidth<double>);
            }
            strip.moved[f] = static_cast<StripBits>(moved);
            strip.before[f - (kStrip - 1)] = best[kVectors - 1][kWidth<double> - 1];
        }
    }
    for (int v = 0; v < kVectors; ++v) store(strip.best + v * kWidth<double>, best[v]);
    return right && !any(wrong != wrong);
}

template <class T>
constexpr ctc::MonotonicKernels<T> kTable{Isa::COALIGN_SET, advance<T>};

}  // namespace

template <>
const ctc::MonotonicKernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const ctc::MonotonicKernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
