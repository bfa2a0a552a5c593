// Windows against their definitions, cell by cell.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "warping/window.hpp"

using namespace coalign::testing;
using namespace coalign::warping;

namespace {

using Cells = std::vector<std::vector<bool>>;

Cells none(std::int64_t n, std::int64_t m) {
    return Cells(static_cast<std::size_t>(n), std::vector<bool>(static_cast<std::size_t>(m)));
}

// The cells of a window, from the words of its definition.
Cells defined(const Window& window, std::int64_t n, std::int64_t m) {
    Cells inside = none(n, m);
    for (std::int64_t i = 0; i < n; ++i) {
        for (std::int64_t j = 0; j < m; ++j) {
            bool in = true;
            const std::int64_t r = window.radius, zero = 0;
            switch (window.kind) {
                case Window::Kind::none:
                    break;
                case Window::Kind::band:
                    in = -r - std::max(zero, n - m) <= j - i && j - i <= r + std::max(zero, m - n);
                    break;
                case Window::Kind::slanted:
                    in = std::abs(j * (n - 1) - i * (m - 1)) <= r * std::max(n - 1, m - 1);
                    break;
                case Window::Kind::rows:
                    in = window.rows[2 * i] <= j && j < window.rows[2 * i + 1];
                    break;
                case Window::Kind::itakura: {
                    const std::int64_t a = n - 1, b = m - 1;
                    for (const auto& [p, q] : {std::pair{i, j}, {a - i, b - j}})
                        in = in && window.run * p * b <= window.rise * q * a &&
                             window.run * q * a <= window.rise * p * b;
                    break;
                }
            }
            inside[static_cast<std::size_t>(i)][static_cast<std::size_t>(j)] = in;
        }
    }
    return inside;
}

Cells covered(const std::vector<Range>& ranges, std::int64_t m) {
    Cells inside = none(static_cast<std::int64_t>(ranges.size()), m);
    for (std::size_t i = 0; i < ranges.size(); ++i)
        for (std::int64_t j = ranges[i].start; j < ranges[i].stop; ++j) inside[i][static_cast<std::size_t>(j)] = true;
    return inside;
}

// The cells on some path from the first corner to the last: reached from the one and reaching the other.
Cells on_paths(const Cells& inside) {
    const std::size_t n = inside.size(), m = inside[0].size();
    Cells from_first = inside, to_last = inside;
    for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < m; ++j) {
            const bool came = (i == 0 && j == 0) || (i > 0 && from_first[i - 1][j]) ||
                              (j > 0 && from_first[i][j - 1]) || (i > 0 && j > 0 && from_first[i - 1][j - 1]);
            from_first[i][j] = inside[i][j] && came;
        }
    }
    for (std::size_t i = n; i-- > 0;) {
        for (std::size_t j = m; j-- > 0;) {
            const bool goes = (i == n - 1 && j == m - 1) || (i < n - 1 && to_last[i + 1][j]) ||
                              (j < m - 1 && to_last[i][j + 1]) || (i < n - 1 && j < m - 1 && to_last[i + 1][j + 1]);
            to_last[i][j] = from_first[i][j] && goes;
        }
    }
    return to_last;
}

bool within(const Cells& some, const Cells& all) {
    for (std::size_t i = 0; i < some.size(); ++i)
        for (std::size_t j = 0; j < some[i].size(); ++j)
            if (some[i][j] && !all[i][j]) return false;
    return true;
}

void compare(const Window& window, std::int64_t n, std::int64_t m) {
    const std::string label = "kind " + std::to_string(static_cast<int>(window.kind)) + ", radius " +
                              std::to_string(window.radius) + ", " + std::to_string(n) + " x " + std::to_string(m);
    // A longer result of an earlier call must not show through.
    std::vector<Range> ranges(static_cast<std::size_t>(n) + 3, Range{-7, -7});
    coalign::Pulse pulse(nullptr);
    coalign::Pacer pacer(pulse);
    check(row_ranges(window, n, m, ranges, pacer), label + ": runs to its end");
    check(ranges.size() == static_cast<std::size_t>(n), label + ": one range a row");
    for (std::size_t i = 0; i < ranges.size(); ++i) {
        check(ranges[i].start >= 0 && ranges[i].stop <= m, label + ": inside the lattice");
        if (i == 0) continue;
        check(ranges[i].start >= ranges[i - 1].start && ranges[i].stop >= ranges[i - 1].stop,
              label + ": never steps back");
    }
    const Cells wanted = defined(window, n, m), got = covered(ranges, m), paths = on_paths(wanted);
    check(within(got, wanted), label + ": no cell that the window lacks");
    check(within(paths, got), label + ": every cell of a path");
    // A window given row by row has cells that no monotone range can hold, and Itakura's may have empty rows.
    if (window.kind != Window::Kind::rows && window.kind != Window::Kind::itakura)
        check(got == wanted, label + ": the definition");
    check(feasible(ranges, m) == paths[0][0], label + ": feasible");
}

}  // namespace

int main() {
    using Kind = Window::Kind;
    for (std::int64_t n = 1; n <= 9; ++n)
        for (std::int64_t m = 1; m <= 9; ++m) {
            compare({}, n, m);
            for (const std::int64_t radius : {0, 1, 2, 3, 8, 20}) {
                compare({Kind::band, radius, nullptr}, n, m);
                compare({Kind::slanted, radius, nullptr}, n, m);
            }
        }
    // Slopes that do not divide, and a radius whose product with a length would leave 64 bits.
    for (const std::int64_t radius : {std::int64_t{0}, std::int64_t{1}, std::int64_t{5}, std::int64_t{2147000000}}) {
        for (const auto& [n, m] : {std::pair<int, int>{101, 37}, {37, 101}, {64, 63}, {100, 1}, {1, 100}, {97, 97}}) {
            compare({Kind::band, radius, nullptr}, n, m);
            compare({Kind::slanted, radius, nullptr}, n, m);
        }
    }

    for (const auto& [rise, run] : {std::pair<int, int>{1, 1}, {3, 2}, {2, 1}, {17, 5}, {1 << 30, 1}})
        for (std::int64_t n = 1; n <= 13; ++n)
            for (std::int64_t m = 1; m <= 13; ++m) compare({Kind::itakura, 0, nullptr, rise, run}, n, m);

    std::mt19937_64 random(3);
    const auto draw = [&](std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(random);
    };
    long with_path = 0, without = 0;
    for (int round = 0; round < 20000; ++round) {
        const std::int64_t n = draw(1, 7), m = draw(1, 7);
        std::vector<std::int64_t> rows(static_cast<std::size_t>(2 * n));
        for (std::size_t i = 0; i < rows.size(); i += 2) {
            // Empty rows and rows past the last column are the caller's to refuse, and harmless here.
            rows[i] = draw(0, std::min<std::int64_t>(m, static_cast<std::int64_t>(i / 2)));
            rows[i + 1] = draw(rows[i], m + 1);
        }
        const Window window{Kind::rows, 0, rows.data()};
        compare(window, n, m);
        on_paths(defined(window, n, m))[0][0] ? ++with_path : ++without;
    }
    check(with_path > 1000 && without > 1000, "both outcomes are met often");
    return report();
}
