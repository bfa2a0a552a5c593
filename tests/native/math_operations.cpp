#include "math_operations.hpp"

#include <cstring>

#include "core/math.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

template <class T, class Function, class... Arguments>
void each(Function function, std::int64_t count, T* out, const Arguments*... from) {
    std::int64_t at = 0;
    for (; at + kWidth<T> <= count; at += kWidth<T>) store(out + at, function(load(from + at)...));
    if (at == count) return;
    T last[kWidth<T>];
    store(last, function(load_first(from + at, static_cast<int>(count - at), T(0))...));
    for (std::int64_t i = at; i < count; ++i) out[i] = last[i - at];
}

template <class T>
constexpr testing::MathOperations<T> kTable{
    [](const T* x, std::int64_t count, T* out) { each([](Vec<T> v) { return exp<T>(v); }, count, out, x); },
    [](const T* x, std::int64_t count, T* out) { each([](Vec<T> v) { return exp_nonpositive<T>(v); }, count, out, x); },
    [](const T* x, std::int64_t count, T* out) { each([](Vec<T> v) { return log<T>(v); }, count, out, x); },
    [](const T* x, std::int64_t count, T* out) { each([](Vec<T> v) { return log1p<T>(v); }, count, out, x); },
    [](const T* a, const T* b, std::int64_t count, T* out) {
        each([](Vec<T> p, Vec<T> q) { return log_sum_exp<T>(p, q); }, count, out, a, b);
    },
    [](const T* a, const T* b, const T* c, std::int64_t count, T* out) {
        each([](Vec<T> p, Vec<T> q, Vec<T> r) { return log_sum_exp<T>(p, q, r); }, count, out, a, b, c);
    },
    [](const T* a, const T* b, const T* c, std::int64_t count, T* out) {
        each([](Vec<T> p, Vec<T> q, Vec<T> r) { return soft_minimum<T>(p, q, r); }, count, out, a, b, c);
    },
    [](const T* row, std::int64_t count) { return row_sum(Row<T>{row}, count); },
    [](const T* row, std::int64_t count) { return row_max(Row<T>{row}, count); },
    [](const T* row, std::int64_t count) { return row_log_sum_exp(Row<T>{row}, count); },
    [](const T* row, std::int64_t count) { return row_log_sum(Row<T>{row}, count); },
    [](LogSum<T> a, LogSum<T> b) { return combine(a, b); },
    [](LogSum<T> sum) { return value(sum); },
};

double worst_error(const float* got, const double* exact, std::int64_t count, bool flushes) {
    typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
    Vec<double> worst{};
    for (std::int64_t at = 0; at < count; at += kWidth<double>) {
        const Vec<double> e = load(exact + at);
        Half half;
        std::memcpy(&half, got + at, sizeof half);
        const auto g = __builtin_convertvector(half, Float64Lanes);
        auto nearest = __builtin_convertvector(__builtin_convertvector(e, Half), Float64Lanes);
        if (flushes) nearest = select(e < 0x1p-126, Vec<double>{}, nearest);
        // 1 / 2^exponent of e by its bits.
        const UIntVec<double> field = reinterpret_cast<UIntVec<double>>(e) & 0x7ff0000000000000u;
        const auto scale = reinterpret_cast<Vec<double>>(0x7fe0000000000000u - field);
        const IntVec<double> normal = (absolute(e) >= 0x1p-126) & (absolute(e) < 0x1p128);
        const IntVec<double> same = (g == nearest) | ((g != g) & (e != e));
        const Vec<double> error = select(normal, absolute(g - e) * scale * 0x1p23, infinity<double>());
        worst = maximum(worst, select(same, Vec<double>{}, error));
    }
    return across_lanes<double>(worst, [](Vec<double> a, Vec<double> b) { return maximum(a, b); });
}

constexpr testing::Float32Errors kErrors{worst_error};

}  // namespace

template <>
const testing::Float32Errors& kernel_table() {
    return kErrors;
}
template <>
const testing::MathOperations<float>& kernel_table() {
    return kTable<float>;
}
template <>
const testing::MathOperations<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
