// How far costs lie apart, as a start for epsilon: of up to 32 x 32 costs spread over a problem, the median of what
// they are above the least of their row. Where few of them are ordinary, and most stand for "never", that is the median
// of the ordinary ones, and the other one is kept beside it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/ragged.hpp"

namespace coalign::transport {

struct Spread {
    double ordinary = 0;
    double far = 0;  // with the large costs that look like sentinels, where most are; else the same
    double most = 0;

    // Values far above the rest: this many times.
    static constexpr double kGap = 1000;
    // Whether there are sentinels, be they few or many.
    bool has_sentinels() const { return most > kGap * ordinary; }
};

// Of `count` spreads, in any order.
inline Spread spread_of(double* spreads, std::int64_t count) {
    // Ordinary costs spread by less than this, and 1000 of them leave no gap such as that of sentinels.
    constexpr double suspicious = 100, gap = Spread::kGap;
    if (count == 0) return {};
    double *const end = spreads + count, *const middle = spreads + count / 2;
    const double most = *std::max_element(spreads, end);
    std::nth_element(spreads, middle, end);
    const double median = *middle;
    if (median == 0) return {};
    double* const some = std::partition(spreads, middle, [](double value) { return value == 0; });
    double* const low = some + (end - some) / 16;
    if (low < middle) std::nth_element(some, low, middle);
    if (low < middle && median <= suspicious * *low) return {median, median, most};
    std::sort(some, end);
    double* far = end - 1;
    while (far > some && *far <= gap * far[-1]) --far;
    if (far == some || far > middle) return {median, median, most};
    return {some[(far - some) / 2], median, most};
}

// cost(i, j) is a cost; infinite ones do not count.
template <class Cost>
Spread spread_of_costs(std::int64_t all_rows, std::int64_t all_columns, Cost&& cost) {
    constexpr std::int64_t most = 32;
    double spreads[most * most];
    std::int64_t count = 0;
    bool is_forbidden = false;
    const std::int64_t rows = std::min(all_rows, most), columns = std::min(all_columns, most);
    for (std::int64_t i = 0; i < rows; ++i) {
        double* const own = spreads + count;
        double least = std::numeric_limits<double>::infinity();
        for (std::int64_t j = 0; j < columns; ++j) {
            const double value = cost(i * all_rows / rows, j * all_columns / columns);
            if (!std::isfinite(value)) {
                is_forbidden = true;
                continue;
            }
            spreads[count++] = value;
            least = std::min(least, value);
        }
        for (double* value = own; value < spreads + count; ++value) *value -= least;
    }
    Spread spread = spread_of(spreads, count);
    if (is_forbidden) spread.most = std::numeric_limits<double>::infinity();
    return spread;
}

template <class T>
Spread spread_of_costs(const MatrixView<T>& cost) {
    return spread_of_costs(cost.rows, cost.columns,
                           [&](std::int64_t i, std::int64_t j) { return double{cost.data[i * cost.row_stride + j]}; });
}

}  // namespace coalign::transport
