// Batches of assignment problems: oriented, handed out to threads, solved.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "assignment/kernels.hpp"
#include "core/batch_run.hpp"
#include "core/ragged.hpp"

namespace coalign::assignment {

struct Options {
    bool maximize = false;
    bool has_limit = false;
    double limit = 0;
    int threads = 1;
    bool warm = false;  // the results come with an earlier solution: the columns' duals, and the rows' columns
};

// A limit in the dtype of the costs: the least number that is not below it, so that it has the same costs below it.
template <class T>
T round_up(double limit) {
    constexpr T most = std::numeric_limits<T>::max(), inf = std::numeric_limits<T>::infinity();
    if (limit > static_cast<double>(most)) return inf;
    if (limit < static_cast<double>(-most)) return limit < -std::numeric_limits<double>::max() ? -inf : -most;
    const T near = static_cast<T>(limit);
    return static_cast<double>(near) < limit ? std::nextafter(near, inf) : near;
}

// The limit of what a pair may cost; when maximising, of its negated cost. A cost of type T is below it if and only if
// it is below the number that the caller gave.
template <class T>
T limit_of(const Options& options) {
    return round_up<T>(options.maximize ? -options.limit : options.limit);
}

// Where the results of one problem go; `total` is the sum of the pairs' costs.
template <class T>
struct Result {
    std::int64_t *col_of_row, *row_of_col;
    T *row_dual, *col_dual;
    double* total;
    Outcome outcome;
};

// Columns are counted in 32 bits beside float32 lanes.
inline constexpr std::int64_t kMostColumns = (std::int64_t{1} << 31) - (1 << 16);

// Below this many costs a thread does not repay its start: 100,000 are about 0.1 ms.
inline constexpr double kWorkPerThread = 1e5;

template <class T>
Run assign(const Kernels<T>& kernels, const Ragged& costs, const Options& options, double work_per_thread, Pulse& pulse,
           std::vector<Result<T>>& results, Scans& scans);

}  // namespace coalign::assignment
