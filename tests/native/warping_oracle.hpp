// Random warping problems, and a double loop over the whole lattice that solves them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <utility>
#include <vector>

#include "warping/problem.hpp"
#include "warping/warping.hpp"

namespace coalign::testing {

using namespace coalign::warping;

template <class T>
inline constexpr T kInfinity = std::numeric_limits<T>::infinity();

using Path = std::vector<std::pair<std::int64_t, std::int64_t>>;

// One problem with memory of its own, of exactly its size: a sanitizer sees what is read past it.
template <class T>
struct Case {
    std::int64_t n = 0, m = 0, dim = 1, stride = 0;
    std::vector<T> x, y, matrix;

    Problem<T> problem() const {
        if (matrix.empty()) return {{x.data(), n}, {y.data(), m}};
        return {{nullptr, n}, {nullptr, m}, matrix.data(), stride};
    }
    T entry(std::int64_t i, std::int64_t j) const { return matrix[static_cast<std::size_t>(i * stride + j)]; }
};

inline bool inside(const Window& window, std::int64_t n, std::int64_t m, std::int64_t i, std::int64_t j) {
    const std::int64_t r = window.radius, zero = 0;
    switch (window.kind) {
        case Window::Kind::none:
            break;
        case Window::Kind::band:
            return -r - std::max(zero, n - m) <= j - i && j - i <= r + std::max(zero, m - n);
        case Window::Kind::slanted:
            return std::abs(j * (n - 1) - i * (m - 1)) <= r * std::max(n - 1, m - 1);
        case Window::Kind::rows:
            return window.rows[2 * i] <= j && j < window.rows[2 * i + 1];
        case Window::Kind::itakura: {
            const std::int64_t a = n - 1, b = m - 1;
            const auto between = [&](std::int64_t p, std::int64_t q) {
                return window.run * p * b <= window.rise * q * a && window.run * q * a <= window.rise * p * b;
            };
            return between(i, j) && between(a - i, b - j);
        }
    }
    return true;
}

// How a cell is computed: as the metric is defined, or as the kernels do it, with a multiply-add that rounds twice
// (x86-64-v2 has no other) or once.
enum class Arithmetic { defined, twice, once };

// best + the local cost of cell (i, j), computed in U.
template <class U, class T>
U add_cell(Metric metric, Arithmetic arithmetic, const Case<T>& c, std::int64_t i, std::int64_t j, U best) {
    if (metric == Metric::precomputed) return best + static_cast<U>(c.entry(i, j));
    const T* x = c.x.data() + i * c.dim;
    const T* y = c.y.data() + j * c.dim;
    const bool kernel = arithmetic != Arithmetic::defined;
    const auto fused = [arithmetic](U a, U b, U sum) {
        return arithmetic == Arithmetic::once ? std::fma(a, b, sum) : a * b + sum;
    };
    if (kernel && c.dim == 1 && metric != Metric::cosine) {
        // The square goes straight into the sum over the path.
        const U difference = static_cast<U>(x[0]) - static_cast<U>(y[0]);
        return metric == Metric::sqeuclidean ? fused(difference, difference, best) : best + std::abs(difference);
    }
    U squares = 0, magnitudes = 0, product = 0, x_square = 0, y_square = 0;
    for (std::int64_t d = 0; d < c.dim; ++d) {
        const U a = static_cast<U>(x[d]), b = static_cast<U>(y[d]);
        switch (metric) {
            case Metric::cityblock:
                magnitudes += std::abs(a - b);
                break;
            case Metric::cosine:
                product = fused(a, b, product);
                break;
            default:
                squares = fused(a - b, a - b, squares);
                if (!kernel || c.dim < kExpandedDim) break;
                product = fused(a, b, product);
                x_square = fused(a, a, x_square);
                y_square = fused(b, b, y_square);
        }
    }
    if (metric == Metric::cityblock) return best + magnitudes;
    if (metric == Metric::cosine) return best + std::max(U(1) - product, U(0));
    if (kernel && c.dim >= kExpandedDim) {
        // |x|^2 + |y|^2 - 2 x.y, unless that is under a sixteenth of the squares, or these overflow.
        const U expanded = fused(U(-2), product, x_square + y_square);
        if (fused(U(-0.0625), x_square + y_square, expanded) >= U(0)) squares = expanded;
    }
    return best + (metric == Metric::euclidean ? std::sqrt(squares) : squares);
}

// The costs of all cells, with a border of infinities above and to the left.
template <class U, class T>
class Lattice {
   public:
    Lattice(const Case<T>& c, Metric metric, const Window& window, Arithmetic arithmetic)
        : n_(c.n), m_(c.m), cells_(static_cast<std::size_t>((n_ + 1) * (m_ + 1)), kInfinity<U>) {
        at(-1, -1) = 0;
        for (std::int64_t i = 0; i < n_; ++i) {
            for (std::int64_t j = 0; j < m_; ++j) {
                if (!inside(window, n_, m_, i, j)) continue;
                const U best = std::min(std::min(at(i - 1, j - 1), at(i - 1, j)), at(i, j - 1));
                if (best < kInfinity<U>) at(i, j) = add_cell<U>(metric, arithmetic, c, i, j, best);
            }
        }
    }

    U cost() { return at(n_ - 1, m_ - 1); }

    // From the first cell to the last, or nothing; ties go to the diagonal, then to the step in x.
    Path path() {
        Path cells;
        if (cost() == kInfinity<U>) return cells;
        for (std::int64_t i = n_ - 1, j = m_ - 1; i >= 0;) {
            cells.emplace_back(i, j);
            const U diagonal = at(i - 1, j - 1), up = at(i - 1, j), left = at(i, j - 1);
            const U best = std::min(std::min(diagonal, up), left);
            if (diagonal == best || up == best) --i;
            if (diagonal == best || up != best) --j;
        }
        std::reverse(cells.begin(), cells.end());
        return cells;
    }

   private:
    U& at(std::int64_t i, std::int64_t j) { return cells_[static_cast<std::size_t>((i + 1) * (m_ + 1) + j + 1)]; }
    std::int64_t n_, m_;
    std::vector<U> cells_;
};

// The room of a path, exactly what is promised to suffice.
class PathRoom {
   public:
    PathRoom(std::int64_t n, std::int64_t m) : x_(static_cast<std::size_t>(n + m - 1), -1), y_(x_) {}
    ReversePath reverse() { return {x_.data(), y_.data()}; }

   private:
    std::vector<std::int64_t> x_, y_;
};

inline Path forward(const ReversePath& path) {
    Path out;
    for (std::int64_t k = path.length; k-- > 0;) out.emplace_back(path.x[k], path.y[k]);
    return out;
}

class Draw {
   public:
    explicit Draw(std::uint64_t seed) : random_(seed) {}

    std::int64_t integer(std::int64_t low, std::int64_t high) {
        return std::uniform_int_distribution<std::int64_t>(low, high)(random_);
    }
    bool chance(double p) { return std::bernoulli_distribution(p)(random_); }
    double normal() { return normal_(random_); }

    // A length up to `longest`, often one at the edge of a block of rows or of a strip.
    std::int64_t length(std::int64_t longest) {
        constexpr std::int64_t edges[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257};
        return std::min(chance(0.5) ? edges[integer(0, 18)] : integer(1, longest), longest);
    }

    // Frames on a coarse grid every other time, so that paths tie; of length 1 for the cosine.
    template <class T>
    std::vector<T> series(std::int64_t length, std::int64_t dim, Metric metric) {
        std::vector<T> values(static_cast<std::size_t>(length * dim));
        const bool coarse = chance(0.5);
        for (T& value : values) value = static_cast<T>(coarse ? static_cast<double>(integer(-1, 1)) : normal());
        if (metric != Metric::cosine) return values;
        for (std::size_t frame = 0; frame < values.size(); frame += static_cast<std::size_t>(dim)) {
            const auto begin = values.begin() + static_cast<std::ptrdiff_t>(frame);
            T sum = 0;
            std::for_each(begin, begin + dim, [&](T v) { sum += v * v; });
            if (sum > 0) std::for_each(begin, begin + dim, [&](T& v) { v /= std::sqrt(sum); });
        }
        return values;
    }

    template <class T>
    Case<T> problem(Metric metric, std::int64_t n, std::int64_t m, std::int64_t dim) {
        Case<T> c{n, m, dim, 0, {}, {}, {}};
        if (metric == Metric::precomputed) {
            matrix(c);
            return c;
        }
        c.x = series<T>(n, dim, metric);
        c.y = series<T>(m, dim, metric);
        // Frames that nearly meet, every third time.
        const bool close = chance(0.33);
        for (std::size_t at = 0; close && at < c.y.size(); ++at)
            c.y[at] = c.x[at % c.x.size()] + static_cast<T>(0.1 * normal());
        return c;
    }

    // Bounds of n rows around the line between the corners, ragged, not always monotone, sometimes without a path.
    std::vector<std::int64_t> rows(std::int64_t n, std::int64_t m) {
        std::vector<std::int64_t> bounds;
        const std::int64_t reach = integer(1, 20), slack = n > 1 ? m / n + 1 : m;
        for (std::int64_t i = 0; i < n; ++i) {
            const std::int64_t centre = n > 1 ? i * (m - 1) / (n - 1) : 0;
            bounds.push_back(i == 0 ? 0 : std::clamp<std::int64_t>(centre - slack - integer(0, reach), 0, m - 1));
            bounds.push_back(i == n - 1 ? m : std::min(m, centre + slack + 1 + integer(0, reach)));
        }
        if (chance(0.15)) bounds[static_cast<std::size_t>(2 * integer(0, n - 1)) + 1] = 1;
        return bounds;
    }

   private:
    template <class T>
    void matrix(Case<T>& c) {
        c.stride = c.m + (chance(0.5) ? integer(1, 9) : 0);
        // Between two rows lies memory that is none of the problem's.
        c.matrix.assign(static_cast<std::size_t>((c.n - 1) * c.stride + c.m), std::numeric_limits<T>::quiet_NaN());
        const bool coarse = chance(0.5), forbids = chance(0.3);
        for (std::int64_t i = 0; i < c.n; ++i) {
            for (std::int64_t j = 0; j < c.m; ++j) {
                const double size = coarse ? static_cast<double>(integer(0, 2)) : std::abs(normal());
                c.matrix[static_cast<std::size_t>(i * c.stride + j)] =
                    forbids && chance(0.1) ? kInfinity<T> : static_cast<T>(size);
            }
        }
    }

    std::mt19937_64 random_;
    std::normal_distribution<double> normal_;
};

// Problems as the driver of pairs takes them.
template <class T>
class PairTables {
   public:
    PairTables(const std::vector<warping::Problem<T>>& problems, std::int64_t dim)
        : xs_(static_cast<std::int64_t>(problems.size())), ys_(static_cast<std::int64_t>(problems.size())) {
        for (const warping::Problem<T>& p : problems) {
            if (p.matrix != nullptr) {
                xs_.add(MatrixView<T>{p.matrix, p.x.length, p.y.length, p.matrix_stride, 1});
            } else {
                xs_.add(MatrixView<T>{p.x.data, p.x.length, dim, dim, 1});
                ys_.add(MatrixView<T>{p.y.data, p.y.length, dim, dim, 1});
            }
        }
        pairs = {xs_.series(dim), ys_.series(dim)};
        if (pairs.has_matrices()) pairs.x = xs_.batch();
    }

    warping::Pairs pairs;

   private:
    RaggedTable xs_, ys_;
};

// A collection of series as the drivers take it.
template <class T>
class SeriesTable {
   public:
    SeriesTable(const std::vector<warping::Series<T>>& series, std::int64_t dim)
        : table_(static_cast<std::int64_t>(series.size())) {
        for (const warping::Series<T>& item : series) table_.add(MatrixView<T>{item.data, item.length, dim, dim, 1});
        batch = table_.series(dim);
    }

    Ragged batch;

   private:
    RaggedTable table_;
};

}  // namespace coalign::testing
