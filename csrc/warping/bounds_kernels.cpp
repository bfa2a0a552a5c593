#include "warping/bounds_kernels.hpp"

#include <limits>

#include "core/lanes.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

struct Least {
    template <class T>
    static constexpr T kNone = std::numeric_limits<T>::infinity();
    template <class V>
    [[gnu::always_inline]] static V of(V a, V b) {
        return minimum(a, b);
    }
};

struct Greatest {
    template <class T>
    static constexpr T kNone = -std::numeric_limits<T>::infinity();
    template <class V>
    [[gnu::always_inline]] static V of(V a, V b) {
        return maximum(a, b);
    }
};

// The extreme of so many values, in every lane.
template <class T, class Extreme>
Vec<T> extreme_of(const T* values, std::int64_t count) {
    constexpr int width = kWidth<T>, streams = 4;
    constexpr T none = Extreme::template kNone<T>;
    Vec<T> found[streams];
    for (Vec<T>& each : found) each = splat<T>(none);
    std::int64_t at = 0;
    for (; at + streams * width <= count; at += streams * width)
#pragma GCC unroll 4
        for (int s = 0; s < streams; ++s) found[s] = Extreme::of(found[s], load(values + at + s * width));
    for (; at < count; at += width) {
        const int held = count - at < width ? static_cast<int>(count - at) : width;
        found[0] = Extreme::of(found[0], load_first(values + at, held, none));
    }
    T each[width];
    store(each, Extreme::of(Extreme::of(found[0], found[1]), Extreme::of(found[2], found[3])));
    Vec<T> all = splat<T>(none);
    for (const T value : each) all = Extreme::of(all, splat<T>(value));
    return all;
}

// The extreme of all frames, for each row: what every window holds if there is none.
template <class T, class Extreme>
void repeat(const T* series, std::int64_t frames, std::int64_t dim, std::int64_t rows, T* scratch, T* out) {
    constexpr int width = kWidth<T>;
    constexpr T none = Extreme::template kNone<T>;
    if (dim == 1) {
        const Vec<T> all = extreme_of<T, Extreme>(series, frames);
        for (std::int64_t r = 0; r < rows; r += width) store(out + r, all);
        return;
    }
    for (std::int64_t e = 0; e < dim; e += width) {
        const int held = dim - e < width ? static_cast<int>(dim - e) : width;
        Vec<T> even = splat<T>(none), odd = even;
        std::int64_t f = 0;
        // Nobody looks at what a frame's last vector takes from the next frames.
        for (; (f + 1) * dim + e + width <= frames * dim; f += 2) {
            even = Extreme::of(even, load(series + f * dim + e));
            odd = Extreme::of(odd, load(series + (f + 1) * dim + e));
        }
        for (; f < frames; ++f) even = Extreme::of(even, load_first(series + f * dim + e, held, none));
        store(scratch + e, Extreme::of(even, odd));
    }
    // A row ends in what the next one overwrites.
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t e = 0; e < dim; e += width) store(out + r * dim + e, load(scratch + e));
}

// The extreme of every window of frames. Extremes of 2, 4, 8 frames come of two that are half as long, and those of the
// window of two that overlap: about log2(window) passes over vectors, where Lemire's queue takes some 5 ns an element.
template <class T, class Extreme>
void slide(const T* series, std::int64_t frames, std::int64_t dim, std::int64_t before, std::int64_t after,
           std::int64_t rows, T* scratch, T* out) {
    if (before >= rows - 1 && after >= frames - 1) return repeat<T, Extreme>(series, frames, dim, rows, scratch, out);
    constexpr int width = kWidth<T>;
    constexpr T none = Extreme::template kNone<T>;
    const std::int64_t window = before + after + 1, total = (rows + window - 1) * dim;
    const std::int64_t first = before * dim, held = frames * dim < total - first ? frames * dim : total - first;
    for (std::int64_t e = 0; e < first; ++e) scratch[e] = none;
    for (std::int64_t e = 0; e < held; ++e) scratch[first + e] = series[e];
    for (std::int64_t e = first + held; e < total + 2 * width; ++e) scratch[e] = none;
    std::int64_t reach = 1;
    for (; 2 * reach <= window; reach *= 2)
        for (std::int64_t e = 0; e < total - reach * dim; e += width)
            store(scratch + e, Extreme::of(load(scratch + e), load(scratch + e + reach * dim)));
    const T* const last = scratch + (window - reach) * dim;
    for (std::int64_t e = 0; e < rows * dim; e += width) store(out + e, Extreme::of(load(scratch + e), load(last + e)));
}

template <class T>
void envelope(const T* series, std::int64_t frames, std::int64_t dim, std::int64_t before, std::int64_t after,
              std::int64_t rows, T* scratch, T* lower, T* upper) {
    slide<T, Least>(series, frames, dim, before, after, rows, scratch, lower);
    slide<T, Greatest>(series, frames, dim, before, after, rows, scratch, upper);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> outside(Vec<T> value, Vec<T> lower, Vec<T> upper) {
    return maximum(maximum(value - upper, lower - value), Vec<T>{});
}

struct Square {
    template <class V>
    [[gnu::always_inline]] static V add(V sum, V distance) {
        return fused(distance, distance, sum);
    }
};

struct Magnitude {
    template <class V>
    [[gnu::always_inline]] static V add(V sum, V distance) {
        return sum + distance;
    }
};

template <class T, class Distance>
[[gnu::always_inline]] inline T excess(const T* values, const T* lower, const T* upper, std::int64_t count) {
    constexpr int width = kWidth<T>, streams = 4;
    Vec<T> sums[streams] = {};
    std::int64_t at = 0;
    for (; at + streams * width <= count; at += streams * width) {
#pragma GCC unroll 4
        for (int s = 0; s < streams; ++s) {
            const std::int64_t e = at + s * width;
            sums[s] = Distance::add(sums[s], outside<T>(load(values + e), load(lower + e), load(upper + e)));
        }
    }
    for (; at + width <= count; at += width)
        sums[0] = Distance::add(sums[0], outside<T>(load(values + at), load(lower + at), load(upper + at)));
    if (const int rest = static_cast<int>(count - at); rest > 0)
        sums[1] =
            Distance::add(sums[1], outside<T>(load_first(values + at, rest, T(0)), load_first(lower + at, rest, T(0)),
                                              load_first(upper + at, rest, T(0))));
    return sum_of<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

template <class T, class Distance>
T whole_excess(const T* values, const T* lower, const T* upper, std::int64_t count) {
    return excess<T, Distance>(values, lower, upper, count);
}

template <class T, class Distance>
void block_excess(const T* values, const T* lower, const T* upper, std::int64_t count, std::int64_t block, T* sums) {
    for (std::int64_t at = 0; at < count; at += block) {
        const std::int64_t size = block < count - at ? block : count - at;
        *sums++ = excess<T, Distance>(values + at, lower + at, upper + at, size);
    }
}

template <class T>
void clip(const T* values, const T* lower, const T* upper, std::int64_t count, T* out) {
    constexpr int width = kWidth<T>;
    for (std::int64_t at = 0; at < count; at += width) {
        const int size = count - at < width ? static_cast<int>(count - at) : width;
        const Vec<T> value = load_first(values + at, size, T(0));
        store(out + at, minimum(maximum(value, load(lower + at)), load(upper + at)));
    }
}

template <class T>
void least(const T* row, std::int64_t columns, T* out) {
    constexpr int width = kWidth<T>;
    Vec<T> even = infinity<T>(), odd = even;
    std::int64_t column = 0;
    for (; column + 2 <= columns; column += 2) {
        even = minimum(even, load(row + column * width));
        odd = minimum(odd, load(row + column * width + width));
    }
    if (column < columns) even = minimum(even, load(row + column * width));
    store(out, minimum(even, odd));
}

template <class T>
inline constexpr warping::BoundKernels<T> kTable{
    kWidth<T>,
    envelope<T>,
    whole_excess<T, Square>,
    whole_excess<T, Magnitude>,
    block_excess<T, Square>,
    block_excess<T, Magnitude>,
    clip<T>,
    least<T>,
};

}  // namespace

template <>
const warping::BoundKernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const warping::BoundKernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
