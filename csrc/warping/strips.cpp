#include "warping/strips.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>

namespace coalign::warping {
namespace {

// Blocks of kDelay steps between two snapshots of a strip's state: 192 steps.
constexpr std::int64_t kSnapshotBlocks = 32;

std::int64_t floor_div(std::int64_t a, std::int64_t b) {
    return a / b - (a % b != 0 && a < 0);
}
std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
    return -floor_div(-a, b);
}

template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();

}  // namespace

double strip_steps(const Window& window, int width, double n, double m) {
    const double height = kBlockRows * width, skew = kDelay * std::min<double>(width - 1, n / kBlockRows);
    return std::ceil(n / height) * kBlockRows * (std::min(m, window_width(window, n, m) + std::min(n, height)) + skew);
}

template <class T>
Strips<T>::Strips(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pacer& pacer)
    : kernels_(kernels), options_(options), dim_(dim), local_(local_cost(options.metric, dim)), pacer_(pacer) {
    const int width = kernels_.width;
    state_.reserve(state_size());
    start_.reserve(height());
    stop_.reserve(height());
    x_.reserve(height() * dim_);
    if (local_ == Local::matrix) scratch_.reserve(kDelay * height());
    padding_ = std::int64_t{kDelay} * width;
}

template <class T>
Range Strips<T>::range(std::int64_t row) const {
    if (options_.window.kind == Window::Kind::none) return {offset_, offset_ + m_};
    const Range& cells = ranges_[static_cast<std::size_t>(row)];
    return {cells.start + offset_, cells.stop + offset_};
}

// Stores y by phase, so that the columns of the lanes of one step, kDelay apart, lie side by side; adds an empty row
// above.
template <class T>
bool Strips<T>::load() {
    const int width = kernels_.width;
    offset_ = (kDelay - m_ % kDelay) % kDelay;
    const std::int64_t columns = offset_ + m_;
    if (options_.window.kind != Window::Kind::none && !row_ranges(options_.window, n_, m_, ranges_, pacer_))
        return false;
    if (local_ != Local::matrix) {
        stride_ = columns / kDelay + 2 * width;
        T* y = y_.reserve(kDelay * dim_ * stride_);
        // Lanes before and past the columns read zeros.
        for (T* phase = y; phase < y + kDelay * dim_ * stride_; phase += stride_) {
            std::fill_n(phase, width, T(0));
            std::fill(phase + (width - 1) + columns / kDelay, phase + stride_, T(0));
        }
        // It takes a few frames at a time, dimension by dimension: they stay in cache, and the writes run along each
        // phase.
        constexpr std::int64_t frames = 16 * kDelay;
        for (std::int64_t from = 0; from < columns; from += frames) {
            const std::int64_t to = std::min(from + frames, columns);
            for (std::int64_t d = 0; d < dim_; ++d) {
                for (std::int64_t at = std::max(from, offset_); at < to; ++at) {
                    T* phase = y + (at % kDelay * dim_ + d) * stride_ + (width - 1);
                    phase[at / kDelay] = problem_.y.data[(at - offset_) * dim_ + d];
                }
            }
            if (!pacer_.proceed((to - from) * dim_)) return false;
        }
    }
    const std::int64_t room = columns + 2 * padding_;
    T* row = row_.reserve(room);
    row_at_zero_ = row + padding_;
    return fill_paced(row, room, kInfinity<T>, pacer_);
}

template <class T>
auto Strips<T>::bound(std::int64_t first) const -> Strip {
    Strip strip{};
    strip.first = first;
    const std::int64_t last = std::min(first + height(), n_) - 1;
    const std::int64_t lanes = (last - first) / kBlockRows;  // lanes below the top one that hold rows
    const std::int64_t columns_end = offset_ + m_;
    strip.begin = floor_div(range(first).start, kDelay);
    strip.end = ceil_div(range(last).stop + lanes * kDelay, kDelay);
    std::int64_t clear_begin = 0, clear_end = strip.end * kDelay;
    for (std::int64_t lane = 0; lane <= lanes; ++lane) {
        const std::int64_t top = first + lane * kBlockRows;
        const std::int64_t bottom = std::min(top + kBlockRows - 1, last);
        clear_begin = std::max(clear_begin, range(bottom).start + lane * kDelay);
        // Nothing flows back from past the last column, so no mask is needed there.
        if (range(top).stop < columns_end) clear_end = std::min(clear_end, range(top).stop + lane * kDelay);
    }
    strip.clear_begin = std::min(ceil_div(clear_begin, kDelay), strip.end);
    strip.clear_end = std::max(floor_div(clear_end, kDelay), strip.clear_begin);
    strip.row_begin = range(last).start;
    strip.row_end = range(last).stop;
    return strip;
}

template <class T>
bool Strips<T>::bound_strips() {
    strips_.clear();
    strips_.reserve(static_cast<std::size_t>(ceil_div(n_, height())));
    for (std::int64_t first = 0; first < n_; first += height()) {
        strips_.push_back(bound(first));
        if (!pacer_.proceed(height())) return false;
    }
    return true;
}

template <class T>
std::int64_t Strips<T>::snapshot_size(const Strip& strip) const {
    return ceil_div(strip.end - strip.begin, kSnapshotBlocks) * state_size();
}

// How many strips make a group: all of them, if their checkpoints are small enough.
template <class T>
void Strips<T>::plan_checkpoints() {
    group_ = strips_.size();
    std::int64_t total = 0;
    for (const Strip& strip : strips_) total += checkpoint_size(strip);
    if (total * static_cast<std::int64_t>(sizeof(T)) <= options_.checkpoint_bytes) return;
    while (group_ > 1 && (group_ - 1) * (group_ - 1) >= strips_.size()) --group_;
    std::int64_t rows = 0;
    for (std::size_t index = group_ - 1; index < strips_.size(); index += group_)
        rows += strips_[index].row_end - strips_[index].row_begin;
    T* at = group_rows_.reserve(rows);
    for (std::size_t index = group_ - 1; index < strips_.size(); index += group_) {
        strips_[index].saved = at;
        at += strips_[index].row_end - strips_[index].row_begin;
    }
}

// One piece of memory for the last rows and the snapshots of strips [first, last).
template <class T>
void Strips<T>::place_checkpoints(std::size_t first, std::size_t last) {
    std::int64_t total = 0;
    for (std::size_t index = first; index < last; ++index) total += checkpoint_size(strips_[index]);
    T* at = checkpoints_.reserve(total);
    for (std::size_t index = first; index < last; ++index) {
        Strip& strip = strips_[index];
        strip.snapshots = at;
        T* row = at + snapshot_size(strip);
        // A group's last row has a place of its own, which outlives the group.
        if (group_ == strips_.size() || !ends_group(index)) strip.saved = row;
        at += checkpoint_size(strip);
    }
}

// Brings the checkpoints of the strips from the start of `wanted`'s group to it, as far as `column`, into memory.
template <class T>
bool Strips<T>::enter_group(std::size_t wanted, std::int64_t column) {
    const std::size_t first = wanted / group_ * group_;
    const std::int64_t end = floor_div(column + kDelay * (kernels_.width - 1), kDelay) + 1;
    for (std::size_t index = first; index <= wanted; ++index) {
        Strip& strip = strips_[index];
        strip.end = std::min(strip.end, end);
        strip.clear_begin = std::min(strip.clear_begin, end);
        strip.clear_end = std::min(strip.clear_end, end);
        if (!ends_group(index)) strip.row_end = std::min(strip.row_end, column + 1);
    }
    place_checkpoints(first, wanted + 1);
    restore_row(first, strips_[first].begin * kDelay - 1, end * kDelay);
    for (std::size_t index = first; index <= wanted; ++index) {
        if (!run_strip(index, true)) return false;
        if (index < wanted) save_row(strips_[index]);
    }
    return true;
}

// Restores columns [begin, end) of the row above a strip. Only the columns that the next steps read are restored: the
// whole row for every strip would make the path in a narrow window quadratic.
template <class T>
void Strips<T>::restore_row(std::size_t index, std::int64_t begin, std::int64_t end) {
    std::fill(row_at_zero_ + begin, row_at_zero_ + end, kInfinity<T>);
    if (index == 0) {
        if (begin < offset_ && offset_ <= end) row_at_zero_[offset_ - 1] = T(0);
        return;
    }
    const Strip& above = strips_[index - 1];
    const std::int64_t from = std::max(begin, above.row_begin), to = std::min(end, above.row_end);
    if (from < to) std::copy_n(above.saved + (from - above.row_begin), to - from, row_at_zero_ + from);
}

template <class T>
void Strips<T>::save_row(const Strip& strip) {
    std::copy(row_at_zero_ + strip.row_begin, row_at_zero_ + strip.row_end, strip.saved);
}

template <class T>
bool Strips<T>::run_strip(std::size_t index, bool keep) {
    const Strip& strip = strips_[index];
    enter(strip, index == 0 ? nullptr : &strips_[index - 1]);
    fill_masks(strip);
    pack_rows(strip.first);
    return advance(strip, keep);
}

template <class T>
void Strips<T>::enter(const Strip& strip, const Strip* above) {
    std::fill_n(state_.data(), state_size(), kInfinity<T>);
    T* diagonal_of_top = state_.data() + kBlockRows * kernels_.width + (kernels_.width - 1);
    const std::int64_t before = strip.begin * kDelay - 1;
    if (above == nullptr) {
        // The single cell before the lattice. Its column is offset_ - 1, which is `before` or inside the first block.
        if (before == offset_ - 1) *diagonal_of_top = T(0);
        else row_at_zero_[offset_ - 1] = T(0);
    } else if (strip.begin > above->begin) {
        *diagonal_of_top = row_at_zero_[before];
    }
}

template <class T>
void Strips<T>::fill_masks(const Strip& strip) {
    const int width = kernels_.width;
    for (int lane = 0; lane < width; ++lane) {
        for (int r = 0; r < kBlockRows; ++r) {
            const std::int64_t row = strip.first + std::int64_t{width - 1 - lane} * kBlockRows + r;
            const Range cells = row < n_ ? range(row) : Range{0, 0};
            start_.data()[r * width + lane] = static_cast<LaneInt<T>>(cells.start);
            stop_.data()[r * width + lane] = static_cast<LaneInt<T>>(cells.stop);
        }
    }
}

template <class T>
void Strips<T>::pack_rows(std::int64_t first) {
    if (local_ == Local::matrix) return;
    const int width = kernels_.width;
    T* out = x_.data();
    for (int r = 0; r < kBlockRows; ++r) {
        for (std::int64_t d = 0; d < dim_; ++d) {
            for (int lane = 0; lane < width; ++lane) {
                const std::int64_t row = first + std::int64_t{width - 1 - lane} * kBlockRows + r;
                *out++ = row < n_ ? problem_.x.data[row * dim_ + d] : T(0);
            }
        }
    }
}

template <class T>
StripPass<T> Strips<T>::pass_over(const Strip& strip) {
    StripPass<T> pass{};
    pass.state = state_.data();
    pass.x = x_.data();
    pass.y = y_.data();
    pass.stride = stride_;
    pass.row = row_at_zero_;
    pass.dim = dim_;
    pass.start = start_.data();
    pass.stop = stop_.data();
    pass.matrix = problem_.matrix;
    pass.matrix_stride = problem_.matrix_stride;
    pass.first_row = strip.first;
    pass.rows = n_;
    pass.first_column = offset_;
    pass.columns = m_;
    pass.scratch = scratch_.data();
    pass.suspicious = &suspicious_;
    return pass;
}

// Runs the strip from its first step to its last; with `keep`, it keeps snapshots and the last row.
template <class T>
bool Strips<T>::advance(const Strip& strip, bool keep) {
    const auto kernel = static_cast<std::size_t>(local_);
    // Blocks short enough to answer an interrupt in time. The costs of a matrix come one by one, from as many pages as
    // there are rows.
    const std::int64_t stretch = local_ == Local::matrix ? 1 << 9 : (std::int64_t{1} << 14) / dim_ + 1;
    StripPass<T> pass = pass_over(strip);
    T* snapshot = strip.snapshots;
    for (std::int64_t at = strip.begin; at < strip.end;) {
        const std::int64_t since = (at - strip.begin) % kSnapshotBlocks;
        std::int64_t end = std::min(strip.end, at + (keep ? kSnapshotBlocks - since : stretch));
        if (keep && since == 0) snapshot = std::copy_n(state_.data(), state_size(), snapshot);
        const bool clear = at >= strip.clear_begin && at < strip.clear_end;
        if (at < strip.clear_begin) end = std::min(end, strip.clear_begin);
        else if (clear) end = std::min(end, strip.clear_end);
        pass.begin = at;
        pass.end = end;
        (clear ? kernels_.strips : kernels_.masked_strips)[kernel](pass);
        if (!pacer_.proceed((end - at) * kDelay * kBlockRows * dim_)) return false;
        at = end;
    }
    return true;
}

// Whether every path through the strip's last row already costs more than max_cost: costs never fall along a path.
template <class T>
bool Strips<T>::hopeless(const Strip& strip) const {
    if (!(options_.max_cost < std::numeric_limits<double>::infinity()) || local_ == Local::matrix) return false;
    const T least = *std::min_element(row_at_zero_ + strip.row_begin, row_at_zero_ + strip.row_end);
    return static_cast<double>(least) > options_.max_cost;
}

// Whether a cell of the window holds NaN or -inf. Nothing when the call was stopped.
template <class T>
std::optional<bool> Strips<T>::holds_no_cost() const {
    constexpr std::int64_t stretch = 1 << 14;
    for (std::int64_t i = 0; i < n_; ++i) {
        const T* costs = problem_.matrix + i * problem_.matrix_stride;
        const Range cells = range(i);
        for (std::int64_t from = cells.start; from < cells.stop; from += stretch) {
            const std::int64_t to = std::min(from + stretch, cells.stop);
            if (!std::all_of(costs + from - offset_, costs + to - offset_, [](T cost) { return cost > -kInfinity<T>; }))
                return true;
            if (!pacer_.proceed(to - from)) return std::nullopt;
        }
    }
    return false;
}

template <class T>
auto Strips<T>::run(const Problem<T>& problem, ReversePath* path) -> Result {
    problem_ = problem;
    n_ = problem.x.length;
    m_ = problem.y.length;
    suspicious_ = false;
    if (!load()) return {kInfinity<T>, Status::ok, true};
    if (options_.window.kind != Window::Kind::none && !feasible(ranges_, m_))
        return {kInfinity<T>, Status::infeasible, false};

    if (!bound_strips()) return {kInfinity<T>, Status::ok, true};
    if (path != nullptr) plan_checkpoints();
    const bool keep = path != nullptr && group_ == strips_.size();
    if (keep) place_checkpoints(0, strips_.size());
    for (std::size_t index = 0; index < strips_.size(); ++index) {
        if (!run_strip(index, keep)) return {kInfinity<T>, Status::ok, true};
        if (index + 1 == strips_.size()) break;
        if (path != nullptr && (keep || ends_group(index))) save_row(strips_[index]);
        if (hopeless(strips_[index])) return {kInfinity<T>, Status::ok, false};
    }
    const std::int64_t last = n_ - 1 - strips_.back().first;
    const std::int64_t lane = kernels_.width - 1 - last / kBlockRows;
    // Adding 0 turns a -0 that only the order of two equal minima could show into 0.
    const T cost = state_.data()[last % kBlockRows * kernels_.width + lane] + T(0);
    if (suspicious_) {
        // What the kernels read may lie outside the window; inside, there is no best path to trace.
        const auto spoilt = holds_no_cost();
        if (!spoilt || *spoilt) return {cost, Status::nan, !spoilt};
    }
    Result result{cost, Status::ok, false};
    if (path != nullptr && cost < kInfinity<T> && static_cast<double>(cost) <= options_.max_cost)
        result.stopped = !trace(*path);
    return result;
}

// Runs blocks [from, to) of a strip again, `from` being a snapshot's, and returns what they recorded, by step.
template <class T>
T* Strips<T>::record(std::size_t index, std::int64_t from, std::int64_t to) {
    const Strip& strip = strips_[index];
    const std::int64_t step = height();  // elements recorded a step
    restore_row(index, from * kDelay, to * kDelay);
    const std::int64_t snapshot = (from - strip.begin) / kSnapshotBlocks;
    std::copy_n(strip.snapshots + snapshot * state_size(), state_size(), state_.data());
    T* out = record_.reserve((kSnapshotBlocks * 2 + 4) * kDelay * step + step);
    std::copy_n(state_.data(), step, out);  // the column before the stretch
    StripPass<T> pass = pass_over(strip);
    pass.begin = from;
    pass.end = to;
    pass.record = out + step;
    kernels_.recording_strips[static_cast<std::size_t>(local_)](pass);
    return out + step;
}

// Every move stays inside the window, whatever the cells hold by now: another thread may be writing to the input.
// From each cell of a feasible window but the first, at least one move does.
template <class T>
bool Strips<T>::trace(ReversePath& path) {
    const int width = kernels_.width;
    std::int64_t i = n_ - 1, j = m_ - 1 + offset_;
    auto index = strips_.size();
    std::int64_t from = 0, to = 0;
    const T* cells = nullptr;
    path.length = 0;
    for (;;) {
        path.x[path.length] = i;
        path.y[path.length] = j - offset_;
        ++path.length;
        if (i == 0 && j == offset_) return true;

        const auto wanted = static_cast<std::size_t>(i / height());
        const std::int64_t within = i % height();
        const std::int64_t below_top = within / kBlockRows;  // lanes between this row's and the top one
        const std::int64_t step = j + kDelay * below_top;
        // The cells that a move can come from were computed up to kDelay + 1 steps before.
        const std::int64_t earliest = step - kDelay - 1;
        if (group_ < strips_.size() && (index == strips_.size() || wanted / group_ != index / group_)) {
            if (!enter_group(wanted, j)) return false;
        }
        if (wanted != index || earliest < from * kDelay) {
            const Strip& strip = strips_[wanted];
            if (wanted != index || from > strip.begin) {
                const std::int64_t block = std::max(floor_div(earliest, kDelay), strip.begin);
                from = block - (block - strip.begin) % kSnapshotBlocks;
                to = step / kDelay + 1;
                if (wanted != index) {
                    fill_masks(strip);
                    pack_rows(strip.first);
                }
                index = wanted;
                cells = record(index, from, to);
                if (!pacer_.proceed((to - from) * kDelay * kBlockRows * dim_)) return false;
            }
        }
        const auto recorded = [&](std::int64_t at_step, std::int64_t row_in_strip) {
            const std::int64_t at = at_step - from * kDelay;
            if (at < -1) return kInfinity<T>;  // before the strip's first step
            const std::int64_t lane = width - 1 - row_in_strip / kBlockRows;
            return cells[at * height() + row_in_strip % kBlockRows * width + lane];
        };
        const auto above = [&](std::int64_t column) {
            if (within > 0) {
                const std::int64_t lag = kDelay * ((within - 1) / kBlockRows);
                return recorded(column + lag, within - 1);
            }
            if (index == 0) return kInfinity<T>;
            const Strip& strip = strips_[index - 1];
            return column >= strip.row_begin && column < strip.row_end ? strip.saved[column - strip.row_begin]
                                                                       : kInfinity<T>;
        };
        const Range over = i > 0 ? range(i - 1) : Range{0, 0};
        const bool may_cross = j > over.start && j <= over.stop, may_rise = j >= over.start && j < over.stop;
        const T diagonal = may_cross ? above(j - 1) : kInfinity<T>, up = may_rise ? above(j) : kInfinity<T>;
        const T left = j > range(i).start ? recorded(step - 1, within) : kInfinity<T>;
        // The question is which one is smaller, not which one is equal: a NaN is neither.
        if (may_cross && !(up < diagonal) && !(left < diagonal)) {
            --i;
            --j;
        } else if (may_rise && !(left < up)) {
            --i;
        } else {
            --j;
        }
    }
}

template class Strips<float>;
template class Strips<double>;

}  // namespace coalign::warping
