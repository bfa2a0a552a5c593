#include "lane_operations.hpp"

#include "core/lanes.hpp"

namespace coalign::COALIGN_SET {
namespace {

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFuses = true;
#else
constexpr bool kFuses = false;
#endif

template <class T>
constexpr testing::LaneOperations<T> kTable{
    kWidth<T>,
    kFuses,
    [](const T* from, T* to) { store(to, load(from)); },
    [](const typename LaneTypes<T>::Int* from, typename LaneTypes<T>::Int* to) {
        const IntVec<T> v = load_int<T>(from);
        for (int lane = 0; lane < kWidth<T>; ++lane) to[lane] = v[lane];
    },
    [](T value, T* out) { store(out, splat(value)); },
    [](const T* from, int count, T fill, T* out) { store(out, load_first(from, count, fill)); },
    [](T* out) { store(out, infinity<T>()); },
    [](const typename LaneTypes<T>::Int* mask, const T* a, const T* b, T* out) {
        store(out, select(load_int<T>(mask), load(a), load(b)));
    },
    [](const T* v, T* out) { store(out, absolute(load(v))); },
    [](const T* a, const T* b, T* out) { store(out, minimum(load(a), load(b))); },
    [](const T* a, const T* b, const T* c, T* out) { store(out, fused(load(a), load(b), load(c))); },
    [](const T* v, T* out) { store(out, square_root(load(v))); },
    [](const T* a, const T* b, T* out) { store(out, quotient(load(a), load(b))); },
    [](const T* v, T* out) { store(out, least_lane<T>(load(v))); },
    [](const T* least, const T* second, T* out) {
        Vec<T> a = load(least), b = load(second);
        two_least_lanes<T>(a, b);
        out[0] = a[0];
        out[1] = b[0];
    },
    [](const typename LaneTypes<T>::Int* mask) { return bits(load_int<T>(mask)); },
    [](const T* a, const T* b, T* out) { store(out, maximum(load(a), load(b))); },
    [](const T* v, T entering, T* out) { store(out, shift_down<T>(load(v), entering)); },
    [](const T* square, T* out) {
        Vec<T> rows[kWidth<T>];
        for (int row = 0; row < kWidth<T>; ++row) rows[row] = load(square + row * kWidth<T>);
        transpose<T>(rows);
        for (int row = 0; row < kWidth<T>; ++row) store(out + row * kWidth<T>, rows[row]);
    },
    [](const T* const* lines, std::int64_t at, T* out) {
        const T* rows[kWidth<T>];
        Vec<T> square[kWidth<T>];
        for (int row = 0; row < kWidth<T>; ++row) rows[row] = lines[row];
        load_turned(rows, at, square);
        for (int row = 0; row < kWidth<T>; ++row) store(out + row * kWidth<T>, square[row]);
    },
    [](const T* const* lines, int count, T fill, T* out) {
        Vec<T> half[kWidth<T> / 2];
        for (int n = 0; n < kWidth<T> / 2; ++n) half[n] = load_halves(lines[2 * n], lines[2 * n + 1], count, fill);
        transpose<T>(half);
        for (int n = 0; n < kWidth<T> / 2; ++n) store(out + n * kWidth<T>, half[n]);
    },
    [](const typename LaneTypes<T>::Int* set, int bit, const T* x, const T* y, T* out) {
        store(out, add_where(load_int<T>(set), bit, load(x), load(y)));
    },
};

}  // namespace

template <>
const testing::LaneOperations<float>& kernel_table() {
    return kTable<float>;
}
template <>
const testing::LaneOperations<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
