#include "warping/window.hpp"

#include <algorithm>
#include <cstddef>

namespace coalign::warping {
namespace {

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    return a / b - (a % b != 0 && a < 0);
}

Range slanted_row(std::int64_t i, std::int64_t n, std::int64_t m, std::int64_t radius) {
    // |j (n - 1) - i (m - 1)| <= radius * max(n - 1, m - 1), in integers, so that the window of the transposed
    // pair is the transposed window.
    if (n == 1) return {0, m};
    const std::int64_t reach = radius * std::max(n - 1, m - 1);
    const std::int64_t centre = i * (m - 1);
    return {-floor_div(reach - centre, n - 1), floor_div(centre + reach, n - 1) + 1};
}

}  // namespace

void row_ranges(const Window& window, std::int64_t n, std::int64_t m, std::vector<Range>& out) {
    out.resize(static_cast<std::size_t>(n));
    // A wider radius than the lattice changes nothing; the clamp keeps the products below inside 64 bits.
    const std::int64_t radius = std::min(window.radius, n + m);
    for (std::int64_t i = 0; i < n; ++i) {
        Range row{0, m};
        switch (window.kind) {
            case Window::Kind::none:
                break;
            case Window::Kind::band:
                row = {i - radius - std::max<std::int64_t>(0, n - m),
                       i + radius + std::max<std::int64_t>(0, m - n) + 1};
                break;
            case Window::Kind::slanted:
                row = slanted_row(i, n, m, radius);
                break;
            case Window::Kind::rows:
                row = {window.rows[2 * i], window.rows[2 * i + 1]};
                break;
        }
        out[static_cast<std::size_t>(i)] = {std::max<std::int64_t>(row.start, 0), std::min(row.stop, m)};
    }
    for (std::size_t i = 1; i < out.size(); ++i) out[i].start = std::max(out[i].start, out[i - 1].start);
    for (std::size_t i = out.size() - 1; i > 0; --i) out[i - 1].stop = std::min(out[i - 1].stop, out[i].stop);
}

bool feasible(const std::vector<Range>& ranges, std::int64_t m) {
    if (ranges.front().start != 0 || ranges.back().stop != m) return false;
    std::int64_t first = 0;  // reachable cells of the row above: [first, last]
    std::int64_t last = ranges[0].stop - 1;
    if (last < 0) return false;
    for (std::size_t i = 1; i < ranges.size(); ++i) {
        first = std::max(first, ranges[i].start);
        if (first > last + 1 || first >= ranges[i].stop) return false;
        last = ranges[i].stop - 1;
    }
    return true;
}

}  // namespace coalign::warping
