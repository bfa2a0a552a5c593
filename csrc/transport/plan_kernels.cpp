#include "transport/plan_kernels.hpp"

#include <algorithm>
#include <limits>

#include "core/lanes.hpp"
#include "core/lanes/wide.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

using namespace coalign::transport;

// So many rows go together: one addition waits for the last one of its row.
constexpr int kRows = 4;

template <int kCount, class T>
[[gnu::always_inline]] inline void multiply_vector(const T* plan, std::int64_t stride, std::int64_t columns,
                                                   const double* v, double* out) {
    constexpr int width = kWidth<double>;
    Float64Lanes sums[kCount] = {};
    std::int64_t j = 0;
    for (; j + width <= columns; j += width) {
        const Float64Lanes some = load(v + j);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) sums[i] = fused(widened(plan + i * stride + j), some, sums[i]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) out[i] = sum_of<double>(sums[i]);
    for (; j < columns; ++j)
        for (int i = 0; i < kCount; ++i) out[i] += double{plan[i * stride + j]} * v[j];
}

template <int kCount, class T>
[[gnu::always_inline]] inline void multiply_rows(const T* plan, std::int64_t stride, std::int64_t columns,
                                                 const double* v, std::int64_t many, double* out) {
    if (many == 1) return multiply_vector<kCount>(plan, stride, columns, v, out);
    for (std::int64_t k = 0; k < many; k += kWidth<double>) {
        const int count = static_cast<int>(std::min<std::int64_t>(kWidth<double>, many - k));
        Float64Lanes sums[kCount] = {};
        for (std::int64_t j = 0; j < columns; ++j) {
            const Float64Lanes some = load_first(v + j * many + k, count, 0.0);
#pragma GCC unroll 4
            for (int i = 0; i < kCount; ++i) sums[i] = fused(splat(double{plan[i * stride + j]}), some, sums[i]);
        }
        for (int i = 0; i < kCount; ++i)
            for (int l = 0; l < count; ++l) out[i * many + k + l] = sums[i][l];
    }
}

template <class T>
void multiply(const T* plan, std::int64_t stride, std::int64_t count, std::int64_t columns, const double* v,
              std::int64_t many, double* out) {
    std::int64_t i = 0;
    for (; i + kRows <= count; i += kRows)
        multiply_rows<kRows>(plan + i * stride, stride, columns, v, many, out + i * many);
    for (; i < count; ++i) multiply_rows<1>(plan + i * stride, stride, columns, v, many, out + i * many);
}

template <int kCount, class T>
[[gnu::always_inline]] inline void combine_rows(const T* plan, std::int64_t stride, std::int64_t columns,
                                                const double* factors, double* out) {
    constexpr int width = kWidth<double>;
    std::int64_t j = 0;
    for (; j + width <= columns; j += width) {
        Float64Lanes sum = load(out + j);
#pragma GCC unroll 4
        for (int i = 0; i < kCount; ++i) sum = fused(widened(plan + i * stride + j), splat(factors[i]), sum);
        store(out + j, sum);
    }
    for (; j < columns; ++j)
        for (int i = 0; i < kCount; ++i) out[j] += double{plan[i * stride + j]} * factors[i];
}

template <class T>
void combine(const T* plan, std::int64_t stride, std::int64_t count, std::int64_t columns, const double* factors,
             double* out) {
    std::int64_t i = 0;
    for (; i + kRows <= count; i += kRows) combine_rows<kRows>(plan + i * stride, stride, columns, factors + i, out);
    for (; i < count; ++i) combine_rows<1>(plan + i * stride, stride, columns, factors + i, out);
}

template <class T>
std::int64_t choose(const T* cost, const double* potential, std::int64_t columns) {
    constexpr int width = kWidth<double>;
    double most = -std::numeric_limits<double>::infinity();
    std::int64_t j = 0;
    if (columns >= width) {
        Float64Lanes greatest = splat(most);
        for (; j + width <= columns; j += width) greatest = maximum(load(potential + j) - widened(cost + j), greatest);
        most = across_lanes<double>(
            greatest, [](Float64Lanes a, Float64Lanes b) __attribute__((always_inline)) { return maximum(a, b); });
    }
    for (; j < columns; ++j) most = std::max(most, potential[j] - double{cost[j]});
    if (!(most > -std::numeric_limits<double>::infinity())) return -1;
    j = 0;
    while (potential[j] - double{cost[j]} != most) ++j;
    return j;
}

}  // namespace

template <>
const PlanKernels<float>& kernel_table() {
    static constexpr PlanKernels<float> table{Isa::COALIGN_SET, multiply<float>, combine<float>, choose<float>};
    return table;
}
template <>
const PlanKernels<double>& kernel_table() {
    static constexpr PlanKernels<double> table{Isa::COALIGN_SET, multiply<double>, combine<double>, choose<double>};
    return table;
}

}  // namespace coalign::COALIGN_SET
