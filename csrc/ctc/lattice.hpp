// The recursions over the lattice of a text, in lanes over its positions.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/extended.hpp"
#include "core/reduce.hpp"
#include "ctc/kernels.hpp"

namespace coalign::COALIGN_SET {

// The vectors of positions [begin, end) that hold what can be reached at a frame and can still reach the end.
struct Band {
    std::int64_t begin, end;
};

template <class T>
[[gnu::always_inline]] inline Band band_of(const ctc::Stretch<T>& stretch, std::int64_t frame) {
    const std::int64_t labels = stretch.text.labels;
    const std::int64_t first = std::max<std::int64_t>(0, labels - stretch.total_frames + frame);
    const std::int64_t last = std::min(labels, frame);
    return {first / kWidth<T>, last / kWidth<T> + 1};
}

template <class T>
[[gnu::always_inline]] inline Extended<T> load_column(const ctc::Column<T>& column, std::int64_t at) {
    return load_extended<T>(column.mantissa + at, column.exponent + at);
}
template <class T>
[[gnu::always_inline]] inline void store_column(const ctc::Column<T>& column, std::int64_t at, Extended<T> v) {
    store_extended<T>(column.mantissa + at, column.exponent + at, v);
}
template <class T>
[[gnu::always_inline]] inline Extended<T> splat_column(const ctc::Column<T>& column, std::int64_t at) {
    return {splat(column.mantissa[at]), Exponents<T>{} + column.exponent[at]};
}

// e^(x - from), by powers of 2: the power of `from` is taken off the exponent.
template <class T>
struct Emitter {
    T least;
    Exponents<T> power;

    explicit Emitter(T from)
        : least(from + T(0.693147180559945) * static_cast<T>(ctc::kLeastEmission<T>)),
          power(exp_extended<T>(splat(from)).exponent) {}

    [[gnu::always_inline]] Extended<T> operator()(Vec<T> x, IntVec<T>& dropped) const {
        const IntVec<T> is_low = x < least;
        dropped |= is_low & (x > -infinity<T>());
        const Extended<T> raw = exp_extended<T>(maximum(x, splat(least)));
        return choose(is_low, nothing(), {raw.mantissa, raw.exponent - power});
    }
    [[gnu::always_inline]] static Extended<T> nothing() { return {Vec<T>{}, Exponents<T>{} + ctc::kNoEmission<T>}; }
};

template <class T>
[[gnu::always_inline]] inline IntVec<T> lane_numbers() {
    IntVec<T> numbers{};
    for (int lane = 0; lane < kWidth<T>; ++lane) numbers[lane] = lane;
    return numbers;
}

template <class T>
void emit(const ctc::Stretch<T>& stretch, ctc::Findings& findings) {
    constexpr int width = kWidth<T>;
    constexpr T none = -std::numeric_limits<T>::infinity();
    const ctc::Text<T>& text = stretch.text;
    IntVec<T> dropped{};
    for (std::int64_t t = stretch.frames.begin; t < stretch.frames.end; ++t) {
        const T* const x = stretch.frames.data + t * stretch.frames.stride;
        const Band band = band_of(stretch, t);
        const ctc::Column<T> row = stretch.emission.from((t - stretch.first) * text.positions);
        const T blank = x[text.blank];
        if (stretch.finds_from) {
            Vec<T> most = splat(blank);
            IntVec<T> bad{};
            // What no alignment meets is refused all the same: else the width of vectors would tell.
            for (std::int64_t v = 0; v * width < text.positions; ++v) {
                const Vec<T> scores = gather(x, load_int<T>(text.symbol + v * width));
                if (v >= band.begin && v < band.end) most = maximum(scores, most);
                bad |= ~(scores < -none);
            }
            const T from =
                across_lanes<T>(most, [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return maximum(a, b); });
            stretch.from[t] = from == none ? T(0) : from;
            findings.bad |= any(bad) || !(blank < -none);
        }
        const T from = stretch.from[t];
        if (!(std::abs(from) <= ctc::kLargestScore<T>)) {
            findings.too_large = true;
            return;
        }
        const Emitter<T> emitter(from);
        stretch.power[t] = emitter.power[0];
        const Extended<T> of_blank = emitter(splat(blank), dropped);
        stretch.blank_emission.mantissa[t - stretch.first] = of_blank.mantissa[0];
        stretch.blank_emission.exponent[t - stretch.first] = of_blank.exponent[0];
        for (std::int64_t v = band.begin; v < band.end; ++v) {
            Extended<T> emission = emitter(gather(x, load_int<T>(text.symbol + v * width)), dropped);
            const std::int64_t left = text.labels - v * width;
            if (left < width)
                emission = choose(lane_numbers<T>() < static_cast<LaneInt<T>>(left), emission, Emitter<T>::nothing());
            store_column<T>(row, v * width, emission);
        }
    }
    findings.dropped |= any(dropped);
}

template <class T>
[[gnu::always_inline]] inline void normalise(const ctc::Column<T>& column, const Band& band, IntVec<T>& dropped) {
    constexpr int width = kWidth<T>;
    for (std::int64_t v = band.begin; v < band.end; ++v)
        store_column<T>(column, v * width, normalised(load_column<T>(column, v * width), ctc::kLeastState<T>, dropped));
}

// alpha: the probability of the frames so far along all ways to a state.
template <class T>
void advance(const ctc::Stretch<T>& stretch, ctc::Findings& findings) {
    constexpr int width = kWidth<T>;
    const ctc::Text<T>& text = stretch.text;
    IntVec<T> dropped{};
    for (std::int64_t t = stretch.frames.begin; t < stretch.frames.end; ++t) {
        const Band band = band_of(stretch, t);
        if (t % ctc::kFramesPerBlock == 0) {
            // The last position before the band goes on into it: in a text as long as its frames it is the only one.
            const Band entering{std::max<std::int64_t>(band.begin - 1, 0), band.end};
            normalise(stretch.label, entering, dropped);
            normalise(stretch.blank, entering, dropped);
        }
        const std::int64_t at = t - stretch.first;
        const ctc::Column<T> emission = stretch.emission.from(at * text.positions);
        const Extended<T> of_blank = splat_column<T>(stretch.blank_emission, at);
        Extended<T> before{Vec<T>{}, Exponents<T>{} + ctc::kLeastState<T>};
        if (band.begin > 0) before = load_column<T>(stretch.label, (band.begin - 1) * width);
        for (std::int64_t v = band.begin; v < band.end; ++v) {
            const Extended<T> label = load_column<T>(stretch.label, v * width);
            const Extended<T> blank = load_column<T>(stretch.blank, v * width);
            const Extended<T> through = add<T>(blank, shift_up<T>(before, label));
            const Extended<T> entered = choose(load_int<T>(text.skips + v * width), through, blank);
            const Extended<T> next = multiply<T>(add<T>(label, entered), load_column<T>(emission, v * width));
            store_column<T>(stretch.label, v * width, next);
            store_column<T>(stretch.blank, v * width, multiply<T>(through, of_blank));
            if (stretch.alpha.mantissa != nullptr)
                store_column<T>(stretch.alpha, at * text.positions + v * width, next);
            before = label;
        }
    }
    findings.dropped |= any(dropped);
}

// From so many columns on, rows are asked for before they are needed: by then a recording of 200 frames fills a
// second-level cache.
constexpr std::int64_t kWideRow = 2048;

// A frame's row of the gradient has left the caches since it was written, and what labels touch of it is scattered.
template <class T>
[[gnu::always_inline]] inline void prefetch_gradient(const ctc::Text<T>& text, const ctc::Occupancies<T>& out,
                                                     std::int64_t t) {
    const T* const row = out.gradient + t * out.stride;
    __builtin_prefetch(row + text.blank, 1);
    for (std::int64_t group = 0; group < text.groups; ++group) __builtin_prefetch(row + text.group_symbol[group], 1);
}

// The state holds beta times the emission of the frame after. beta: the probability of the frames after this one along
// all ways from a state to the end.
template <class T>
void retreat(const ctc::Stretch<T>& stretch, const ctc::Occupancies<T>& out, ctc::Findings& findings) {
    constexpr int width = kWidth<T>;
    const ctc::Text<T>& text = stretch.text;
    const Exponents<T> total = scale_origin(Exponents<T>{} + out.total_exponent);
    const auto plus = [](Vec<T> a, Vec<T> b) __attribute__((always_inline)) { return a + b; };
    const bool is_wide = stretch.frames.columns >= kWideRow;
    IntVec<T> dropped{};
    for (std::int64_t t = stretch.frames.end - 1; t >= stretch.frames.begin; --t) {
        const Band band = band_of(stretch, t);
        const std::int64_t at = t - stretch.first;
        const ctc::Column<T> emission = stretch.emission.from(at * text.positions);
        const bool has_alpha = stretch.alpha.mantissa != nullptr;
        const ctc::Column<T> alpha = has_alpha ? stretch.alpha.from(at * text.positions) : stretch.alpha;
        const Extended<T> of_blank = splat_column<T>(stretch.blank_emission, at);
        if (has_alpha && is_wide && t > 1) prefetch_gradient(text, out, t - 2);
        const auto enter = [&](std::int64_t v, Extended<T>& through) __attribute__((always_inline)) {
            const Extended<T> blank = load_column<T>(stretch.blank, v * width);
            through = add<T>(blank, load_column<T>(stretch.label, v * width));
            return choose(load_int<T>(text.skips + v * width), through, blank);
        };
        Extended<T> after{Vec<T>{}, Exponents<T>{} + ctc::kLeastState<T>}, through;
        if (band.end * width < text.positions) {
            after = enter(band.end, through);
            // What has just left the band.
            store(out.row + band.end * width, Vec<T>{});
        }
        Vec<T> sum{};
        for (std::int64_t v = band.end - 1; v >= band.begin; --v) {
            const Extended<T> label = load_column<T>(stretch.label, v * width);
            const Extended<T> entered = enter(v, through);
            const Extended<T> beta = add<T>(label, shift_down<T>(entered, after));
            after = entered;
            store_column<T>(stretch.label, v * width, multiply<T>(beta, load_column<T>(emission, v * width)));
            store_column<T>(stretch.blank, v * width, multiply<T>(through, of_blank));
            if (!has_alpha) continue;
            const Extended<T> both = multiply<T>(load_column<T>(alpha, v * width), beta);
            const Vec<T> occupancy = both.mantissa * out.inverse_total * scale_from(both.exponent, total);
            store(out.row + v * width, occupancy);
            sum += occupancy;
        }
        if (t % ctc::kFramesPerBlock == 0) {
            normalise(stretch.label, band, dropped);
            normalise(stretch.blank, band, dropped);
        }
        if (!has_alpha) continue;
        T* const gradient = out.gradient + t * out.stride;
        // What the labels leave of 1 is the blank's, unless that is a rounding where there is no blank.
        if (stretch.blank_emission.mantissa[at] > 0)
            gradient[text.blank] -= out.weight * std::max(T(0), T(1) - across_lanes<T>(sum, plus));
        for (std::int64_t group = 0; group < text.groups; ++group) {
            T of_symbol = 0;
            for (std::int64_t k = text.group_begin[group]; k < text.group_begin[group + 1]; ++k)
                of_symbol += out.row[text.order[k]];
            gradient[text.group_symbol[group]] -= out.weight * of_symbol;
        }
    }
    findings.dropped |= any(dropped);
}

// Exponentials of a row relative to a number, written while they are read where `out` is not null. What is `ahead` is
// asked for meanwhile: the maximum of the next row would wait for memory.
template <class T, bool kStores>
struct ExponentialRow {
    using Value = T;
    const T* values;
    std::int64_t ahead;
    T from;
    T* out;

    [[gnu::always_inline]] Vec<T> whole(std::int64_t at) const {
        __builtin_prefetch(values + ahead + at);
        const Vec<T> power = exp_nonpositive<T>(load(values + at) - from);
        if constexpr (kStores) store(out + at, power);
        return power;
    }
    [[gnu::always_inline]] Vec<T> part(std::int64_t at, int count, T) const {
        const Vec<T> power =
            exp_nonpositive<T>(load_first(values + at, count, -std::numeric_limits<T>::infinity()) - from);
        if constexpr (kStores)
            for (int lane = 0; lane < count; ++lane) out[at + lane] = power[lane];
        return power;
    }
};

template <class T>
void find_sums(const ctc::RowPass<T>& pass, ctc::Findings& findings) {
    using Limits = std::numeric_limits<T>;
    constexpr int width = kWidth<T>;
    const std::int64_t columns = pass.frames.columns, ahead = columns >= kWideRow ? pass.frames.stride : 0;
    for (std::int64_t t = pass.frames.begin; t < pass.frames.end; ++t) {
        const T* const x = pass.frames.data + t * pass.frames.stride;
        const Row<T> row{x};
        const T most = over_blocks<T>(
            columns,
            [&](std::int64_t begin, std::int64_t end)
                __attribute__((always_inline)) { return block_maximum(row, begin, end); },
            [](T a, T b) __attribute__((always_inline)) { return a > b ? a : b; });
        const T from = most == -Limits::infinity() ? T(0) : most;
        T* const out = pass.softmax != nullptr ? pass.softmax + t * pass.stride : nullptr;
        const T sum = out != nullptr ? row_sum(ExponentialRow<T, true>{x, ahead, from, out}, columns)
                                     : row_sum(ExponentialRow<T, false>{x, ahead, from, nullptr}, columns);
        pass.from[t] = from;
        pass.sum[t] = sum;
        if (!(sum < Limits::infinity())) {
            findings.bad = true;
            return;
        }
        if (out == nullptr) continue;
        const T scale = pass.weight / sum;
        std::int64_t c = 0;
        for (; c + width <= columns; c += width) store(out + c, load(out + c) * scale);
        for (; c < columns; ++c) out[c] *= scale;
    }
}

}  // namespace coalign::COALIGN_SET
