#include "warping/small_pair.hpp"

#include <algorithm>
#include <limits>

namespace coalign::warping {
namespace {

// Where the lanes of a pair's diagonals stand.
struct Layout {
    std::int64_t n, m, before, after, lanes;

    Layout(const Window& window, std::int64_t rows, std::int64_t columns) : n(rows), m(columns) {
        const Reach reach = reach_of(window, n, m);
        before = reach.before;
        after = reach.after;
        lanes = (before + after) / 2 + 1;
    }
    std::int64_t diagonals() const { return n + m - 1; }
    std::int64_t vectors(std::int64_t width) const { return (lanes + width - 1) / width; }
    std::int64_t lane(std::int64_t i, std::int64_t j) const { return (i - j + after) >> 1; }
    bool holds(std::int64_t i, std::int64_t j) const { return i >= 0 && j >= 0 && i - j <= before && j - i <= after; }
};

// The way from the last cell to the first: of equal costs the diagonal's, then the one of the row above.
template <class T>
void trace(const T* values, std::int64_t stride, const Layout& layout, ReversePath& path) {
    const auto at = [&](std::int64_t i, std::int64_t j) {
        return layout.holds(i, j) ? values[(i + j) * stride + layout.lane(i, j)] : std::numeric_limits<T>::infinity();
    };
    path.length = 0;
    for (std::int64_t i = layout.n - 1, j = layout.m - 1;;) {
        path.x[path.length] = i;
        path.y[path.length] = j;
        ++path.length;
        if (i == 0 && j == 0) return;
        const T across = at(i - 1, j - 1), above = at(i - 1, j), left = at(i, j - 1);
        const bool is_across = i > 0 && j > 0 && !(above < across) && !(left < across);
        const bool is_left = !is_across && j > 0 && (i == 0 || left < above);
        if (!is_left) --i;
        if (is_across || is_left) --j;
    }
}

}  // namespace

template <class T>
bool SmallPair<T>::suits(std::int64_t n, std::int64_t m, bool has_path) const {
    // Steps between two looks at the pulse, and bytes of the diagonals that a path is traced through.
    constexpr std::int64_t most_diagonals = 1 << 16, most_bytes = 1 << 20;
    if (kernels_.run[static_cast<std::size_t>(local_)] == nullptr || options_.pattern != nullptr ||
        options_.checkpoint_bytes == 0 || n + m > most_diagonals ||
        (options_.window.kind != Window::Kind::none && options_.window.kind != Window::Kind::band))
        return false;
    const Layout layout(options_.window, n, m);
    const std::int64_t vectors = layout.vectors(kernels_.width), steps = layout.diagonals() * vectors;
    if (vectors > kMostSmallVectors) return false;
    if (has_path && steps * kernels_.width * static_cast<std::int64_t>(sizeof(T)) > most_bytes) return false;
    // In cycles: of a vector, which loads the frames anew, of one of the strips, which keep those of x; of the chain
    // from one diagonal to the next; and of what the strips take to begin.
    const auto dim = static_cast<double>(dim_);
    const double step = dim_ == 1 ? 3 : 2 + 2 * dim, strip_step = dim_ == 1 ? 2 : 1.5 + dim;
    constexpr double chain = 12, begin = 1200;
    const double by_diagonals =
        static_cast<double>(layout.diagonals()) * std::max(chain, static_cast<double>(vectors) * step);
    const double by_strips =
        strip_steps(options_.window, kernels_.width, static_cast<double>(n), static_cast<double>(m)) * strip_step;
    return by_diagonals < by_strips * (has_path ? 1.5 : 1) + begin;
}

template <class T>
T SmallPair<T>::run(const Problem<T>& problem, ReversePath* path) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    const Layout layout(options_.window, problem.x.length, problem.y.length);
    const std::int64_t n = layout.n, m = layout.m, width = kernels_.width, diagonals = layout.diagonals();
    const std::int64_t vectors = layout.vectors(width), stride = vectors * width;
    // The first lane's frame of x goes from `-in_front` on, and that of y, backwards, ends `behind` past the last.
    const std::int64_t in_front = layout.after >> 1, behind = layout.lane(n - 1, m - 1);
    const std::int64_t x_stride = in_front + ((diagonals - layout.after) >> 1) + stride;
    const std::int64_t y_stride = behind + m - in_front + stride;
    const std::int64_t kept = path != nullptr ? diagonals * stride : 0;
    const std::int64_t room = kept + 2 * stride + 2 * width + (x_stride + y_stride) * dim_;

    constexpr std::int64_t on_stack = 5120;
    alignas(64) T stack[on_stack];
    T* const values = room <= on_stack ? stack : room_.reserve(room);
    T* const corner = values + kept;
    T* const last = corner + stride;
    T* const masks = last + stride;
    T* const x = masks + 2 * width;
    T* const y = x + x_stride * dim_;
    std::fill_n(corner, stride, inf);
    corner[layout.lane(0, 0)] = 0;
    for (std::int64_t kind = 0; kind < 2; ++kind) {
        const std::int64_t inside = (layout.before + layout.after + 2 - kind) / 2 - (vectors - 1) * width;
        for (std::int64_t l = 0; l < width; ++l) masks[kind * width + l] = l < inside ? T(0) : inf;
    }
    std::fill_n(x, (x_stride + y_stride) * dim_, T(0));
    for (std::int64_t d = 0; d < dim_; ++d) {
        T* const row = x + d * x_stride + in_front;
        for (std::int64_t i = 0; i < n; ++i) row[i] = problem.x.data[i * dim_ + d];
        T* const column = y + d * y_stride + behind + m - 1;
        for (std::int64_t j = 0; j < m; ++j) column[-j] = problem.y.data[j * dim_ + d];
    }
    const bool is_masked = options_.window.kind == Window::Kind::band;
    (is_masked ? kernels_.run_masked : kernels_.run)[static_cast<std::size_t>(local_)](
        {x, y + behind + m - 1 - in_front, dim_, x_stride, y_stride, diagonals, static_cast<int>(vectors),
         layout.after % 2 != 0, corner, masks, path != nullptr ? values : nullptr, last});
    const T cost = last[layout.lane(n - 1, m - 1)];
    if (path != nullptr && cost < inf && static_cast<double>(cost) <= options_.max_cost)
        trace(values, stride, layout, *path);
    return cost;
}

template class SmallPair<float>;
template class SmallPair<double>;

}  // namespace coalign::warping
