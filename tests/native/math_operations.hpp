// core/math.hpp and core/reduce.hpp behind pointers, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "core/index_tree.hpp"
#include "core/isa_table.hpp"

namespace coalign::testing {

template <class T>
struct MathOperations {
    using Unary = void (*)(const T* x, std::int64_t count, T* out);
    Unary exp, exp_nonpositive, log, log1p;
    void (*log_sum_exp_of_two)(const T* a, const T* b, std::int64_t count, T* out);
    void (*log_sum_exp_of_three)(const T* a, const T* b, const T* c, std::int64_t count, T* out);
    void (*soft_minimum)(const T* a, const T* b, const T* c, std::int64_t count, T* out);
    T (*row_sum)(const T* row, std::int64_t count);
    T (*row_max)(const T* row, std::int64_t count);
    T (*row_log_sum_exp)(const T* row, std::int64_t count);
    LogSum<T> (*row_log_sum)(const T* row, std::int64_t count);
    LogSum<T> (*combine)(LogSum<T> a, LogSum<T> b);
    T (*value)(LogSum<T> sum);
};

struct Float32Errors {
    // The largest distance between what was got and the exact results, in units of the last place of those; inf where
    // one is of another kind, or does not fit into the loop's short cuts. `count` is a multiple of 8.
    double (*worst)(const float* got, const double* exact, std::int64_t count, bool flushes);
};

}  // namespace coalign::testing
