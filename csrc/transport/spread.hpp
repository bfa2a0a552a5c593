// How far costs lie apart, as a start for epsilon: of up to 32 x 32 costs spread over a problem, the median of what
// they are above the least of their row. A median does not see the large numbers that stand for "never".
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace coalign::transport {

// cost(i, j) is a cost; infinite ones do not count.
template <class Cost>
double median_spread(std::int64_t all_rows, std::int64_t all_columns, Cost&& cost) {
    constexpr std::int64_t most = 32;
    double spreads[most * most];
    std::int64_t count = 0;
    const std::int64_t rows = std::min(all_rows, most), columns = std::min(all_columns, most);
    for (std::int64_t i = 0; i < rows; ++i) {
        double* const own = spreads + count;
        double least = std::numeric_limits<double>::infinity();
        for (std::int64_t j = 0; j < columns; ++j) {
            const double value = cost(i * all_rows / rows, j * all_columns / columns);
            if (!std::isfinite(value)) continue;
            spreads[count++] = value;
            least = std::min(least, value);
        }
        for (double* value = own; value < spreads + count; ++value) *value -= least;
    }
    if (count == 0) return 0;
    std::nth_element(spreads, spreads + count / 2, spreads + count);
    return spreads[count / 2];
}

}  // namespace coalign::transport
