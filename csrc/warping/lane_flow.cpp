#include "warping/lane_flow.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace coalign::warping {
namespace {

// Blocks between two moves of what the lanes still need to the beginning of the buffers.
constexpr std::int64_t kStretch = 32;
// A block of rows visits as many columns as a row does and these.
constexpr std::int64_t kSkew = kBlockRows - 1;

std::int64_t round_up(std::int64_t value, std::int64_t step) {
    return (value + step - 1) / step * step;
}

}  // namespace

template <class T>
LaneFlow<T>::LaneFlow(const Kernels<T>& kernels, const BoundKernels<T>& bounds, Local local, std::int64_t dim,
                      Pacer& pacer)
    : kernels_(kernels), bounds_(bounds), local_(local), dim_(dim), pacer_(pacer) {
    const int width = kernels_.width;
    state_.reserve((kBlockRows + 1) * width);
    start_.reserve(kBlockRows * width);
    stop_.reserve(kBlockRows * width);
    frames_.reserve(round_up(kBlockRows * dim_, width) * width);
}

template <class T>
bool LaneFlow<T>::suits(const Kernels<T>& kernels, const Options& options, std::int64_t dim, std::int64_t n,
                        std::int64_t m) {
    // Frames before the first are infinitely far.
    const auto local = static_cast<std::size_t>(local_cost(options.metric, dim));
    if (kernels.band_lanes[local] == nullptr || options.window.kind != Window::Kind::band) return false;
    const Reach reach = reach_of(options.window, n, m);
    const std::int64_t wide = reach.before + reach.after + 1 + kSkew;
    constexpr std::int64_t cache = 3 << 19;
    return 4 * wide < 3 * m + 32 && wide * (dim + 1) * kernels.width * static_cast<std::int64_t>(sizeof(T)) < cache;
}

// The column of a row's first cell is the row's number less `before`, so column j stands at j + before_, and lanes that
// are at different blocks at the same place: each began where the block at hand began then.
template <class T>
bool LaneFlow<T>::run(Series<T> x, std::int64_t m, Reach reach, Candidates<T>& candidates) {
    x_ = x;
    m_ = m;
    before_ = reach.before;
    after_ = reach.after;
    wide_ = before_ + after_ + 1;
    blocks_ = (x.length + kBlockRows - 1) / kBlockRows;
    place();
    const auto width = static_cast<std::size_t>(kernels_.width);
    const std::int64_t work = (wide_ + kSkew) * kBlockRows * dim_;
    bool more = true;
    for (;;) {
        bool any = false, ends = false;
        for (std::size_t l = 0; l < width; ++l) {
            Lane& lane = lanes_[l];
            if (lane.candidate < 0 && more) {
                lane.candidate = candidates.next(lane.y, lane.rest);
                if (lane.candidate >= 0) begin(l);
                else more = false;
            }
            any = any || lane.candidate >= 0;
            ends = ends || (lane.candidate >= 0 && lane.block == blocks_ - 1);
        }
        if (!any) return true;
        feed();
        advance(ends);
        settle(ends, candidates);
        if (!pacer_.proceed(work)) return false;
    }
}

// Sets up the buffers for a query: a column before the first holds the diagonal of a row's first cell.
template <class T>
void LaneFlow<T>::place() {
    const int width = kernels_.width;
    constexpr T inf = std::numeric_limits<T>::infinity();
    room_ = wide_ + kSkew + kStretch * kBlockRows;
    row_.reserve((room_ + 1 + kBlockRows) * width);
    columns_.reserve((room_ + kBlockRows) * dim_ * width + round_up(kBlockRows * dim_, width) * width);
    std::fill_n(row_.data(), (room_ + 1 + kBlockRows) * width, inf);
    std::fill_n(columns_.data(), room_ * dim_ * width, inf);
    base_ = 0;
    for (Lane& lane : lanes_) lane.candidate = -1;
    for (int r = 0; r < kBlockRows; ++r) {
        std::fill_n(start_.data() + r * width, width, static_cast<LaneInt<T>>(r));
        std::fill_n(stop_.data() + r * width, width, static_cast<LaneInt<T>>(r + wide_));
    }
}

// A candidate enters a lane: nothing is reached yet but the cell before the lattice.
template <class T>
void LaneFlow<T>::begin(std::size_t lane) {
    const int width = kernels_.width;
    constexpr T inf = std::numeric_limits<T>::infinity();
    lanes_[lane].block = 0;
    T* const row = row_.data() + base_ * width + lane;
    for (std::int64_t c = 0; c < wide_ + kBlockRows; ++c) row[c * width] = inf;
    row[before_ * width] = 0;
    // The frames that `feed` does not bring: those before the first, and `after` of its own.
    T* const column = columns_.data() + base_ * dim_ * width + lane;
    for (std::int64_t e = 0; e < before_ * dim_; ++e) column[e * width] = inf;
    T* const own = column + before_ * dim_ * width;
    const T* const y = lanes_[lane].y.data;
    for (std::int64_t e = 0; e < after_ * dim_; ++e) own[e * width] = y[e];
}

// Brings each lane the frames of its next block: kBlockRows of the query, and as many columns that enter the band.
template <class T>
void LaneFlow<T>::feed() {
    const int width = kernels_.width;
    constexpr T inf = std::numeric_limits<T>::infinity();
    if (base_ + wide_ + kSkew + kBlockRows > room_) {
        std::copy_n(row_.data() + base_ * width, (wide_ + kBlockRows) * width, row_.data());
        std::copy_n(columns_.data() + base_ * dim_ * width, wide_ * dim_ * width, columns_.data());
        base_ = 0;
    }
    // Whole vectors of frames are turned at once, so a lane brings a few more than it needs, as long as it has them.
    const std::int64_t padded = round_up(kBlockRows * dim_, width);
    std::array<const T*, kMostLanes> x{}, y{};
    std::array<std::int64_t, kMostLanes> rows{}, columns{};
    for (std::size_t l = 0; l < static_cast<std::size_t>(width); ++l) {
        const Lane& lane = lanes_[l];
        const std::int64_t first = lane.candidate < 0 ? 0 : lane.block * kBlockRows;
        rows[l] = std::min((x_.length - first) * dim_, padded);
        x[l] = x_.data + first * dim_;
        // Past the end come zeros, from where nothing flows back.
        columns[l] = lane.candidate < 0 ? rows[l] : std::clamp<std::int64_t>((m_ - first - after_) * dim_, 0, padded);
        y[l] = lane.candidate < 0 || columns[l] == 0 ? x_.data : lane.y.data + (first + after_) * dim_;
    }
    kernels_.pack(x.data(), rows.data(), padded, frames_.data());
    kernels_.pack(y.data(), columns.data(), padded, columns_.data() + (base_ + wide_ - 1) * dim_ * width);
    // No row above has reached the last column of the block's first row, nor those behind it.
    std::fill_n(row_.data() + (base_ + wide_) * width, kBlockRows * width, inf);
}

// One block of all lanes. Where some lane ends, the cost of its last cell is taken on the way.
template <class T>
void LaneFlow<T>::advance(bool ends) {
    const int width = kernels_.width;
    constexpr T inf = std::numeric_limits<T>::infinity();
    T* const row = row_.data() + (base_ + 1) * width;
    T* const state = state_.data();
    std::fill_n(state, kBlockRows * width, inf);
    std::copy_n(row - width, width, state + kBlockRows * width);
    LanePass<T> pass{state,         frames_.data(), columns_.data() + base_ * dim_ * width, row, dim_, 0, 0,
                     start_.data(), stop_.data()};
    const std::int64_t last = m_ + before_ - (blocks_ - 1) * kBlockRows;  // columns up to the last cell's
    const auto kernel = static_cast<std::size_t>(local_);
    if (!ends && wide_ >= kBlockRows) {
        pass.end = wide_;
        kernels_.band_lanes[kernel](pass);
        return;
    }
    for (std::int64_t at = 0; at < wide_ + kSkew;) {
        const bool masked = at < kSkew || at >= wide_;
        std::int64_t end = at < kSkew ? kSkew : at < wide_ ? wide_ : wide_ + kSkew;
        if (ends && at < last) end = std::min(end, last);
        pass.begin = at;
        pass.end = end;
        (masked ? kernels_.masked_lanes : kernels_.lanes)[kernel](pass);
        at = end;
        if (ends && at == last) std::copy_n(state + (x_.length - 1) % kBlockRows * width, width, costs_.data());
    }
}

// Takes the costs of candidates that have ended, leaves those that are beyond the limit, and moves on.
template <class T>
void LaneFlow<T>::settle(bool ends, Candidates<T>& candidates) {
    const int width = kernels_.width;
    const auto lanes = static_cast<std::size_t>(width);
    for (std::size_t l = 0; ends && l < lanes; ++l) {
        Lane& lane = lanes_[l];
        if (lane.candidate < 0 || lane.block < blocks_ - 1) continue;
        candidates.warped(lane.candidate, costs_[l]);
        lane.candidate = -1;
    }
    std::array<T, kMostLanes> least;
    bounds_.least(row_.data() + (base_ + 1 + kSkew) * width, wide_, least.data());
    for (std::size_t l = 0; l < lanes; ++l) {
        Lane& lane = lanes_[l];
        if (lane.candidate < 0) continue;
        ++lane.block;
        const double rest = lane.rest.empty() ? 0 : lane.rest[static_cast<std::size_t>(lane.block)];
        if (candidates.is_beyond(lane.candidate, static_cast<double>(least[l]) + rest)) lane.candidate = -1;
    }
    base_ += kBlockRows;
}

template class LaneFlow<float>;
template class LaneFlow<double>;

}  // namespace coalign::warping
