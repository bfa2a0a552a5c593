#include "warping/lane_group.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace coalign::warping {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t step) {
    return (value + step - 1) / step * step;
}

// How many rows of x are packed at a time: each is read once, so more would only push y out of the cache.
constexpr std::int64_t kStretchBytes = 1 << 17;
// How many elements of y are packed between two looks at the pulse: a multiple of every width.
constexpr std::int64_t kStretchElements = 1 << 14;

}  // namespace

template <class T>
LaneGroup<T>::LaneGroup(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pacer& pacer)
    : kernels_(kernels),
      bound_kernels_(table_for<BoundKernels<T>>(kernels.isa)),
      options_(options),
      dim_(dim),
      local_(local_cost(options.metric, dim)),
      pacer_(pacer) {
    const auto width = static_cast<std::size_t>(kernels_.width);
    lanes_.resize(width);
    shapes_.resize(width);
    const std::int64_t row_bytes = dim_ * kernels_.width * static_cast<std::int64_t>(sizeof(T));
    stretch_ = round_up(std::max<std::int64_t>(kStretchBytes / row_bytes, 1), kBlockRows);
    state_.reserve((kBlockRows + 1) * kernels_.width);
    start_.reserve(kBlockRows * kernels_.width);
    stop_.reserve(kBlockRows * kernels_.width);
}

// Finds the ranges of a lane's pair. Pairs of one shape share them, and those of the last group may still serve.
template <class T>
bool LaneGroup<T>::take_shape(const Pair<T>& pair, std::size_t lane) {
    const std::int64_t n = pair.x.length, m = pair.y.length;
    std::size_t at = 0;
    while (at < used_shapes_ && (shapes_[at].n != n || shapes_[at].m != m)) ++at;
    Shape& shape = shapes_[at];
    shape_of_[lane] = &shape;
    if (at < used_shapes_) return true;
    ++used_shapes_;
    if (shape.n == n && shape.m == m) return true;
    shape.n = shape.m = 0;
    if (!row_ranges(options_.window, n, m, shape.ranges, pacer_)) return false;
    shape.n = n;
    shape.m = m;
    return true;
}

// Elements [from, from + count) of every lane's series, zero past its end.
template <class T>
void LaneGroup<T>::pack(Series<T> Pair<T>::* side, std::int64_t from, std::int64_t count, T* out) const {
    std::array<const T*, kMostLanes> series{};
    std::array<std::int64_t, kMostLanes> sizes{};
    for (std::size_t lane = 0; lane < lanes_.size(); ++lane) {
        const Series<T>& whole = lanes_[lane].*side;
        sizes[lane] = std::max<std::int64_t>(whole.length * dim_ - from, 0);
        series[lane] = sizes[lane] > 0 ? whole.data + from : whole.data;
    }
    kernels_.pack(series.data(), sizes.data(), round_up(count, kernels_.width), out);
}

template <class T>
bool LaneGroup<T>::load(const Pair<T>* pairs, int count, bool has_same_y) {
    const int width = kernels_.width;
    count_ = count;
    rows_ = columns_ = 0;
    same_shape_ = true;
    used_shapes_ = 0;
    for (int lane = 0; lane < width; ++lane) {
        const auto at = static_cast<std::size_t>(lane);
        const Pair<T>& pair = pairs[std::min(lane, count - 1)];
        if (options_.window.kind != Window::Kind::none && !take_shape(pair, at)) return false;
        lanes_[at] = pair;
        same_shape_ = same_shape_ && pair.x.length == pairs[0].x.length && pair.y.length == pairs[0].y.length;
        rows_ = std::max(rows_, pair.x.length);
        columns_ = std::max(columns_, pair.y.length);
    }
    x_.reserve(round_up(std::min(stretch_, round_up(rows_, kBlockRows)) * dim_, width) * width);
    const std::int64_t elements = columns_ * dim_;
    T* y = y_.reserve(round_up(elements, width) * width);
    for (std::int64_t from = 0; from < elements && !has_same_y; from += kStretchElements) {
        const std::int64_t size = std::min(kStretchElements, elements - from);
        pack(&Pair<T>::y, from, size, y + from * width);
        if (!pacer_.proceed(size)) return false;
    }
    return fill_paced(row_.reserve(columns_ * width), columns_ * width, std::numeric_limits<T>::infinity(), pacer_);
}

// The columns of the block of rows that starts at `first`, and its masks.
template <class T>
void LaneGroup<T>::bound_block(std::int64_t first) {
    bounds_ = {columns_, 0, 0, columns_};
    if (options_.window.kind == Window::Kind::none) {
        bounds_ = {0, 0, 0, columns_};
        for (int lane = 0; lane < count_; ++lane)
            if (const Pair<T>& pair = lanes_[static_cast<std::size_t>(lane)]; first < pair.x.length)
                bounds_.end = std::max(bounds_.end, pair.y.length);
        return;
    }
    const int width = kernels_.width;
    LaneInt<T>* start = start_.data();
    LaneInt<T>* stop = stop_.data();
    for (int lane = 0; lane < width; ++lane) {
        const Pair<T>& pair = lanes_[static_cast<std::size_t>(lane)];
        const std::vector<Range>& ranges = shape_of_[static_cast<std::size_t>(lane)]->ranges;
        const bool live = lane < count_ && first < pair.x.length;
        const std::int64_t last = std::min(first + kBlockRows, pair.x.length) - 1;
        if (live && (lane == 0 || !same_shape_)) {
            const Range& top = ranges[static_cast<std::size_t>(first)];
            const Range& bottom = ranges[static_cast<std::size_t>(last)];
            bounds_.begin = std::min(bounds_.begin, top.start);
            bounds_.end = std::max(bounds_.end, bottom.stop);
            bounds_.clear_begin = std::max(bounds_.clear_begin, bottom.start);
            // Nothing flows back into a pair from past its last column, so no mask is needed there.
            if (top.stop < pair.y.length) bounds_.clear_end = std::min(bounds_.clear_end, top.stop);
        }
        if (same_shape_ && lane > 0) continue;
        for (int r = 0; r < kBlockRows; ++r) {
            const Range range = first + r <= last ? ranges[static_cast<std::size_t>(first + r)] : Range{0, 0};
            const auto from = static_cast<LaneInt<T>>(range.start), to = static_cast<LaneInt<T>>(range.stop);
            if (same_shape_) {
                std::fill_n(start + r * width, width, from);
                std::fill_n(stop + r * width, width, to);
            } else {
                start[r * width + lane] = from;
                stop[r * width + lane] = to;
            }
        }
    }
}

// Advances the block, stopping at every column where a pair ends to take its cost. Costs of finished rows stay.
template <class T>
bool LaneGroup<T>::run_block(std::int64_t first, T* costs) {
    const int width = kernels_.width;
    constexpr T inf = std::numeric_limits<T>::infinity();
    bound_block(first);
    T* row = row_.data();
    T* state = state_.data();
    std::fill(state, state + (kBlockRows + 1) * width, inf);
    T* diagonal = state + kBlockRows * width;
    if (first == 0) {
        // The single cell before the lattice; if the window starts later, there is no way in.
        if (bounds_.begin == 0) std::fill(diagonal, diagonal + width, T(0));
    } else if (bounds_.begin > previous_begin_) {
        std::copy_n(row + (bounds_.begin - 1) * width, width, diagonal);
    }
    previous_begin_ = bounds_.begin;

    const std::int64_t in_stretch = first % stretch_;
    const std::int64_t packed = round_up(std::min(stretch_, rows_ - first), kBlockRows);
    if (in_stretch == 0) pack(&Pair<T>::x, first * dim_, packed * dim_, x_.data());
    LanePass<T> pass{state,       x_.data() + in_stretch * dim_ * width, y_.data(), row, dim_, 0, 0, start_.data(),
                     stop_.data()};
    const auto kernel = static_cast<std::size_t>(local_);
    const auto ends_here = [&](const Pair<T>& pair) { return (pair.x.length - 1) / kBlockRows == first / kBlockRows; };
    for (std::int64_t at = bounds_.begin; at < bounds_.end;) {
        std::int64_t end = bounds_.end;
        for (int lane = 0; lane < count_; ++lane)
            if (const Pair<T>& pair = lanes_[static_cast<std::size_t>(lane)]; ends_here(pair) && pair.y.length > at)
                end = std::min(end, pair.y.length);
        bool masked = false;
        if (at < bounds_.clear_begin) {
            masked = true;
            end = std::min(end, bounds_.clear_begin);
        } else if (at < bounds_.clear_end) {
            end = std::min(end, bounds_.clear_end);
        } else {
            masked = true;
        }
        pass.begin = at;
        pass.end = end;
        (masked ? kernels_.masked_lanes : kernels_.lanes)[kernel](pass);
        at = end;
        for (int lane = 0; lane < count_; ++lane)
            if (const Pair<T>& pair = lanes_[static_cast<std::size_t>(lane)]; ends_here(pair) && pair.y.length == at)
                costs[lane] = state[(pair.x.length - 1) % kBlockRows * width + lane];
    }
    return pacer_.proceed((bounds_.end - bounds_.begin) * kBlockRows * dim_);
}

// Whether every path through the block's last row already costs every live pair more than max_cost: costs never fall
// along a path. The check comes every few blocks, so that it stays under a thirtieth of the work.
template <class T>
bool LaneGroup<T>::hopeless(std::int64_t first) const {
    if (!(options_.max_cost < std::numeric_limits<double>::infinity()) || first / kBlockRows % 4 != 3) return false;
    std::array<T, kMostLanes> least;
    bound_kernels_.least(row_.data() + bounds_.begin * kernels_.width, bounds_.end - bounds_.begin, least.data());
    for (int lane = 0; lane < count_; ++lane) {
        const auto at = static_cast<std::size_t>(lane);
        const bool live = first + kBlockRows < lanes_[at].x.length;
        if (live && !(static_cast<double>(least[at]) > options_.max_cost)) return false;
    }
    return true;
}

template <class T>
bool LaneGroup<T>::run(const Pair<T>* pairs, int count, T* costs, bool has_same_y) {
    if (!load(pairs, count, has_same_y)) return false;
    std::fill_n(costs, count, std::numeric_limits<T>::infinity());
    previous_begin_ = 0;
    for (std::int64_t first = 0; first < rows_; first += kBlockRows) {
        if (!run_block(first, costs)) return false;
        if (hopeless(first)) break;
    }
    return true;
}

template class LaneGroup<float>;
template class LaneGroup<double>;

}  // namespace coalign::warping
