#include "warping/lane_group.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace coalign::warping {
namespace {

std::int64_t round_up(std::int64_t value, std::int64_t step) {
    return (value + step - 1) / step * step;
}

}  // namespace

template <class T>
LaneGroup<T>::LaneGroup(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pacer& pacer)
    : kernels_(kernels), options_(options), dim_(dim), local_(local_cost(options.metric, dim)), pacer_(pacer) {
    const auto width = static_cast<std::size_t>(kernels_.width);
    lanes_.resize(width);
    ranges_.resize(width);
    state_.reserve((kBlockRows + 1) * kernels_.width);
    start_.reserve(kBlockRows * kernels_.width);
    stop_.reserve(kBlockRows * kernels_.width);
}

template <class T>
std::int64_t LaneGroup<T>::footprint(std::int64_t columns) const {
    return columns * (dim_ + 1) * kernels_.width * static_cast<std::int64_t>(sizeof(T));
}

template <class T>
void LaneGroup<T>::load(const Pair<T>* pairs, int count) {
    const int width = kernels_.width;
    count_ = count;
    rows_ = columns_ = 0;
    same_shape_ = true;
    std::array<const T*, kMostLanes> x{}, y{};
    std::array<std::int64_t, kMostLanes> x_sizes{}, y_sizes{};
    for (int lane = 0; lane < width; ++lane) {
        const auto at = static_cast<std::size_t>(lane);
        const Pair<T>& pair = pairs[std::min(lane, count - 1)];
        if (options_.window.kind != Window::Kind::none &&
            (lanes_[at].x.length != pair.x.length || lanes_[at].y.length != pair.y.length))
            row_ranges(options_.window, pair.x.length, pair.y.length, ranges_[at]);
        lanes_[at] = pair;
        same_shape_ = same_shape_ && pair.x.length == pairs[0].x.length && pair.y.length == pairs[0].y.length;
        rows_ = std::max(rows_, pair.x.length);
        columns_ = std::max(columns_, pair.y.length);
        x[at] = pair.x.data;
        y[at] = pair.y.data;
        x_sizes[at] = pair.x.length * dim_;
        y_sizes[at] = pair.y.length * dim_;
    }
    const std::int64_t x_padded = round_up(round_up(rows_, kBlockRows) * dim_, width);
    const std::int64_t y_padded = round_up(columns_ * dim_, width);
    kernels_.pack(x.data(), x_sizes.data(), x_padded, x_.reserve(x_padded * width));
    kernels_.pack(y.data(), y_sizes.data(), y_padded, y_.reserve(y_padded * width));
    T* row = row_.reserve(columns_ * width);
    std::fill(row, row + columns_ * width, std::numeric_limits<T>::infinity());
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
        const std::vector<Range>& ranges = ranges_[static_cast<std::size_t>(lane)];
        const bool live = lane < count_ && first < pair.x.length;
        const std::int64_t last = std::min(first + kBlockRows, pair.x.length) - 1;
        if (live && (lane == 0 || !same_shape_)) {
            const Range& top = ranges[static_cast<std::size_t>(first)];
            const Range& bottom = ranges[static_cast<std::size_t>(last)];
            bounds_.begin = std::min(bounds_.begin, top.start);
            bounds_.end = std::max(bounds_.end, bottom.stop);
            bounds_.clear_begin = std::max(bounds_.clear_begin, bottom.start);
            // Past the last column of a pair nothing flows back into it: no mask is needed there.
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
        // The one cell before the lattice: a window that starts later leaves no way in.
        if (bounds_.begin == 0) std::fill(diagonal, diagonal + width, T(0));
    } else if (bounds_.begin > previous_begin_) {
        std::copy_n(row + (bounds_.begin - 1) * width, width, diagonal);
    }
    previous_begin_ = bounds_.begin;

    LanePass<T> pass{state, x_.data() + first * dim_ * width, y_.data(), row, dim_, 0, 0, start_.data(), stop_.data()};
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

// Whether every way on from the block's last row already costs every live pair more than max_cost: costs never fall
// along a path. Looked at every few blocks, so that looking stays under a thirtieth of the work.
template <class T>
bool LaneGroup<T>::hopeless(std::int64_t first) const {
    if (!(options_.max_cost < std::numeric_limits<double>::infinity()) || first / kBlockRows % 4 != 3) return false;
    const int width = kernels_.width;
    std::array<T, kMostLanes> least;
    least.fill(std::numeric_limits<T>::infinity());
    for (std::int64_t column = bounds_.begin; column < bounds_.end; ++column)
        for (int lane = 0; lane < width; ++lane)
            least[static_cast<std::size_t>(lane)] =
                std::min(least[static_cast<std::size_t>(lane)], row_.data()[column * width + lane]);
    for (int lane = 0; lane < count_; ++lane) {
        const auto at = static_cast<std::size_t>(lane);
        const bool live = first + kBlockRows < lanes_[at].x.length;
        if (live && !(static_cast<double>(least[at]) > options_.max_cost)) return false;
    }
    return true;
}

template <class T>
bool LaneGroup<T>::run(const Pair<T>* pairs, int count, T* costs) {
    load(pairs, count);
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
