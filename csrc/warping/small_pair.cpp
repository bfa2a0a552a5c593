#include "warping/small_pair.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace coalign::warping {
namespace {

constexpr auto kLanes = static_cast<std::int64_t>(kMostLanes);
constexpr std::int64_t kDiagonals = 2 * kSmallFrames - 1;

// The way from the last cell to the first: of equal costs the diagonal's, then the one of the row above.
template <class T>
void trace(const T* values, std::int64_t stride, std::int64_t n, std::int64_t m, ReversePath& path) {
    const auto at = [&](std::int64_t i, std::int64_t j) { return values[(i + j) * stride + i]; };
    path.length = 0;
    for (std::int64_t i = n - 1, j = m - 1;;) {
        path.x[path.length] = i;
        path.y[path.length] = j;
        ++path.length;
        if (i == 0 && j == 0) return;
        const bool may_rise = i > 0, may_move = j > 0;
        const bool is_diagonal =
            may_rise && may_move && !(at(i - 1, j) < at(i - 1, j - 1)) && !(at(i, j - 1) < at(i - 1, j - 1));
        const bool is_left = may_move && (!may_rise || at(i, j - 1) < at(i - 1, j));
        if (is_diagonal || !is_left) --i;
        if (is_diagonal || is_left) --j;
    }
}

}  // namespace

template <class T>
T warp_small(const SmallKernels<T>& kernels, const Options& options, std::int64_t dim, const Problem<T>& problem,
             ReversePath* path) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    const std::int64_t n = problem.x.length, m = problem.y.length, width = kernels.width;
    const std::int64_t rows = (n + width - 1) / width * width, diagonals = n + m - 1;
    const std::int64_t first = diagonals - 1, y_stride = first + rows, stride = rows + width;
    alignas(64) T x[kSmallFrames * kExpandedDim];
    alignas(64) T y[(kDiagonals - 1 + kSmallFrames) * kExpandedDim];
    alignas(64) T values[(kDiagonals + 2) * (kSmallFrames + kLanes)];
    // Cells outside of the lattice have costs as well, which lead nowhere: those before the first column come from
    // none, and nothing comes back from those past the last.
    for (std::int64_t d = 0; d < dim; ++d) {
        T* const row = x + d * rows;
        for (std::int64_t i = 0; i < n; ++i) row[i] = problem.x.data[i * dim + d];
        std::fill(row + n, row + rows, T(0));
        T* const column = y + d * y_stride;
        std::fill_n(column, y_stride, T(0));
        for (std::int64_t j = 0; j < m; ++j) column[first - j] = problem.y.data[j * dim + d];
    }
    // Two diagonals before the first are empty, but for the cell before the lattice.
    std::fill_n(values, 2 * stride, inf);
    values[width - 1] = T(0);
    T* const begin = values + 2 * stride;
    kernels.run[static_cast<std::size_t>(local_cost(options.metric, dim))](
        {x, y, dim, rows, diagonals, first, y_stride, begin, stride});
    const T cost = begin[(diagonals - 1) * stride + width + n - 1];
    if (path != nullptr && cost < inf && static_cast<double>(cost) <= options.max_cost)
        trace(begin + width, stride, n, m, *path);
    return cost;
}

template float warp_small(const SmallKernels<float>&, const Options&, std::int64_t, const Problem<float>&,
                          ReversePath*);
template double warp_small(const SmallKernels<double>&, const Options&, std::int64_t, const Problem<double>&,
                           ReversePath*);

}  // namespace coalign::warping
