// Which cells of the lattice a path may visit: one half-open range of columns per row.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace coalign::warping {

struct Window {
    enum class Kind { none, band, slanted, rows };
    Kind kind = Kind::none;
    std::int64_t radius = 0;
    const std::int64_t* rows = nullptr;  // kind rows: (N, 2), start and stop of each row
};

struct Range {
    std::int64_t start, stop;
};

// The window as ranges that never step back from one row to the next. Cells that this trims from a window of
// kind `rows` are on no path: a path is monotone, so it cannot come back to a column that a row has left.
// False when the call was stopped.
[[nodiscard]] bool row_ranges(const Window& window, std::int64_t n, std::int64_t m, std::vector<Range>& out,
                              Pacer& pacer);

// Whether any path runs through the ranges from (0, 0) to (n - 1, m - 1).
bool feasible(const std::vector<Range>& ranges, std::int64_t m);

}  // namespace coalign::warping
