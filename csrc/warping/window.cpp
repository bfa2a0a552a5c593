#include "warping/window.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace coalign::warping {
namespace {

// Rows between two looks at the pulse.
constexpr std::int64_t kStretch = 1 << 14;

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

__extension__ typedef __int128 Wide;

Wide floor_div(Wide a, Wide b) {
    return a / b - (a % b != 0 && a < 0);
}

// With slope s = rise / run, a = n - 1 and b = m - 1: j a <= s i b, i b <= s j a, and the same from the other corner,
// where i and j are a - i and b - j. The products stay below 2^53 * 2^31 * 2^31.
Range itakura_row(std::int64_t i, std::int64_t n, std::int64_t m, const Window& window) {
    if (n == 1) return {0, m};
    const Wide rise = window.rise, run = window.run, a = n - 1, b = m - 1;
    const auto most = [&](std::int64_t rows) { return floor_div(rise * rows * b, run * a); };
    const auto least = [&](std::int64_t rows) { return -floor_div(-run * rows * b, rise * a); };
    const std::int64_t left = n - 1 - i;
    return {static_cast<std::int64_t>(std::max(least(i), b - most(left))),
            static_cast<std::int64_t>(std::min(most(i), b - least(left)) + 1)};
}

}  // namespace

bool window_rows(const Window& window, std::int64_t n, std::int64_t m, std::vector<Range>& out, Pacer& pacer) {
    // The vector grows by stretches: zeroing the ranges of ten million rows at once would take 80 ms.
    if (static_cast<std::int64_t>(out.size()) > n) out.resize(static_cast<std::size_t>(n));
    out.reserve(static_cast<std::size_t>(n));
    // A radius wider than the lattice changes nothing; the clamp keeps the products below within 64 bits.
    const std::int64_t radius = std::min(window.radius, n + m);
    for (std::int64_t from = 0; from < n; from += kStretch) {
        const std::int64_t to = std::min(from + kStretch, n);
        if (static_cast<std::int64_t>(out.size()) < to) out.resize(static_cast<std::size_t>(to));
        for (std::int64_t i = from; i < to; ++i) {
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
                case Window::Kind::itakura:
                    row = itakura_row(i, n, m, window);
                    break;
                case Window::Kind::rows:
                    row = {window.rows[2 * i], window.rows[2 * i + 1]};
                    break;
            }
            out[static_cast<std::size_t>(i)] = {std::clamp<std::int64_t>(row.start, 0, m),
                                                std::clamp<std::int64_t>(row.stop, 0, m)};
        }
        if (!pacer.proceed(to - from)) return false;
    }
    return true;
}

bool row_ranges(const Window& window, std::int64_t n, std::int64_t m, std::vector<Range>& out, Pacer& pacer) {
    if (!window_rows(window, n, m, out, pacer)) return false;
    std::int64_t start = 0, stop = m;
    for (std::int64_t from = 0; from < n; from += kStretch) {
        const std::int64_t to = std::min(from + kStretch, n);
        for (std::int64_t i = from; i < to; ++i) {
            Range& row = out[static_cast<std::size_t>(i)];
            start = std::max(start, row.start);
            row.start = start;
        }
        if (!pacer.proceed(to - from)) return false;
    }
    for (std::int64_t to = n; to > 0; to -= kStretch) {
        const std::int64_t from = std::max<std::int64_t>(to - kStretch, 0);
        for (std::int64_t i = to; i-- > from;) {
            Range& row = out[static_cast<std::size_t>(i)];
            stop = std::min(stop, row.stop);
            row.stop = stop;
        }
        if (!pacer.proceed(to - from)) return false;
    }
    return true;
}

Reach reach_of(const Window& window, std::int64_t n, std::int64_t m) {
    if (window.kind != Window::Kind::band) return {n - 1, m - 1};
    const std::int64_t radius = std::min(window.radius, n + m), zero = 0;
    return {std::min(radius + std::max(zero, n - m), n - 1), std::min(radius + std::max(zero, m - n), m - 1)};
}

double window_width(const Window& window, double n, double m) {
    switch (window.kind) {
        case Window::Kind::band:
            return std::min(m, 2.0 * static_cast<double>(window.radius) + 1 + std::abs(n - m));
        case Window::Kind::slanted:
            return std::min(m, (2.0 * static_cast<double>(window.radius) + 1) * std::max(1.0, m / n));
        case Window::Kind::none:
        case Window::Kind::itakura:
        case Window::Kind::rows:
            break;
    }
    return m;
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
