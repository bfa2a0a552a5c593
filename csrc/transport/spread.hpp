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

// Ordinary costs spread by less than this, and 1000 of them leave no gap such as that of sentinels.
inline constexpr double kSuspicious = 100;

// The median of a few spreads, in any order, where they are above 0 and ordinary; else 0.
inline double ordinary_median(double* spreads, std::int64_t count) {
    double *const end = spreads + count, *const middle = spreads + count / 2;
    std::nth_element(spreads, middle, end);
    double* const some = std::partition(spreads, middle, [](double value) { return value == 0; });
    double* const low = some + (end - some) / 16;
    if (low >= middle) return 0;
    std::nth_element(some, low, middle);
    return *middle <= kSuspicious * *low ? *middle : 0;
}

// Of `count` spreads, in any order.
inline Spread spread_of(double* spreads, std::int64_t count) {
    constexpr double gap = Spread::kGap;
    if (count == 0) return {};
    double *const end = spreads + count, *const middle = spreads + count / 2;
    const double most = *std::max_element(spreads, end);
    // A few tell of ordinary costs. The processor guesses the next branch of a selection wrongly half of the time, so
    // that the median of 1024 took as long as all else that 64 x 64 costs at a large epsilon take.
    constexpr std::int64_t few = 256;
    if (count > few) {
        double chosen[few];
        const std::int64_t step = count / few + 1, chosen_count = (count + step - 1) / step;
        for (std::int64_t k = 0; k < chosen_count; ++k) chosen[k] = spreads[k * step];
        const double median = ordinary_median(chosen, chosen_count);
        if (median > 0) return {median, median, most};
    }
    if (const double median = ordinary_median(spreads, count); median > 0) return {median, median, most};
    std::sort(spreads, end);
    const double median = *middle;
    if (median == 0) return {};
    double* const some = std::upper_bound(spreads, middle, 0.0);
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
    std::int64_t column[most];
    for (std::int64_t j = 0; j < columns; ++j) column[j] = j * all_columns / columns;
    for (std::int64_t i = 0; i < rows; ++i) {
        const std::int64_t row = i * all_rows / rows;
        double* const own = spreads + count;
        double least = std::numeric_limits<double>::infinity();
        for (std::int64_t j = 0; j < columns; ++j) {
            const double value = cost(row, column[j]);
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
