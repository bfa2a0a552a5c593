// How far costs lie apart, as a start for epsilon: of up to 32 x 32 costs spread over a problem, the median of what
// they are above the least of their row. A median does not see the large numbers that stand for "never".
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/ragged.hpp"

namespace coalign::transport {

template <class T>
double median_spread(const MatrixView<T>& cost) {
    constexpr std::int64_t most = 32;
    double spreads[most * most];
    std::int64_t count = 0;
    const std::int64_t rows = std::min(cost.rows, most), columns = std::min(cost.columns, most);
    for (std::int64_t i = 0; i < rows; ++i) {
        const T* const row = cost.data + i * cost.rows / rows * cost.row_stride;
        double* const own = spreads + count;
        double least = std::numeric_limits<double>::infinity();
        for (std::int64_t j = 0; j < columns; ++j) {
            const auto value = double{row[j * cost.columns / columns]};
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
