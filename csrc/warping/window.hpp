// Which cells of the lattice a path may visit: one half-open range of columns per row.
#pragma once

#include <cstdint>
#include <vector>

#include "core/parallel.hpp"

namespace coalign::warping {

struct Window {
    enum class Kind { none, band, slanted, rows, itakura };
    Kind kind = Kind::none;
    std::int64_t radius = 0;
    const std::int64_t* rows = nullptr;  // kind rows: (N, 2), start and stop of each row
    // Kind itakura: the slope as a fraction, of at most 2^53 by at most 2^52.
    std::int64_t rise = 1, run = 1;
};

struct Range {
    std::int64_t start, stop;
};

// The window as one range a row. False when the call was stopped.
[[nodiscard]] bool window_rows(const Window& window, std::int64_t n, std::int64_t m, std::vector<Range>& out,
                               Pacer& pacer);

// The same ranges, made such that they never step back from one row to the next. The cells that this trims are on no
// path that visits every row: a path is monotone, so it cannot come back to a column that a row has left.
// False when the call was stopped.
[[nodiscard]] bool row_ranges(const Window& window, std::int64_t n, std::int64_t m, std::vector<Range>& out,
                              Pacer& pacer);

// Row i of an (n, m) lattice may visit columns [i - before, i + after], as far as they exist.
struct Reach {
    std::int64_t before = 0, after = 0;
};

// Of a band, or without a window.
Reach reach_of(const Window& window, std::int64_t n, std::int64_t m);

// About how many columns a row of the window holds.
double window_width(const Window& window, double n, double m);

// Whether any path runs through the ranges from (0, 0) to (n - 1, m - 1).
bool feasible(const std::vector<Range>& ranges, std::int64_t m);

}  // namespace coalign::warping
