#include "warping/step_pattern.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace coalign::warping {
namespace {

template <class T>
constexpr T kInfinity = std::numeric_limits<T>::infinity();

// Columns between two looks at the pulse: a multiple of every group of vectors.
constexpr std::int64_t kStretch = 1 << 12;
// The directions of a block take at least as much memory, if the path needs so much.
constexpr std::int64_t kBlockBytes = 1 << 21;

}  // namespace

template <class T>
StepRows<T>::StepRows(Isa isa, const Options& options, std::int64_t dim, Pacer& pacer)
    : kernels_(table_for<RowKernels<T>>(isa)),
      options_(options),
      pattern_(*options.pattern),
      dim_(dim),
      local_(local_cost(options.metric, dim)),
      pacer_(pacer),
      totals_(static_cast<std::size_t>(pattern_.rows + 1)),
      costs_(static_cast<std::size_t>(pattern_.rows + 1)),
      steps_(pattern_.steps.size()),
      terms_(pattern_.cells.size()) {
    for (std::size_t s = 0; s < steps_.size(); ++s) {
        steps_[s].first = static_cast<int>(pattern_.steps[s].first);
        steps_[s].last = static_cast<int>(pattern_.steps[s].last);
    }
    for (std::size_t t = 0; t < terms_.size(); ++t) terms_[t].weight = static_cast<T>(pattern_.cells[t].weight);
}

template <class T>
bool StepRows<T>::clear(std::vector<Row>& rows) {
    const std::int64_t room = pattern_.columns + m_ + kernels_.width;
    for (Row& row : rows) {
        T* const begin = row.buffer.reserve(room);
        row.at_zero = begin + pattern_.columns;
        row.held = {0, 0};
        if (!fill_paced(begin, room, kInfinity<T>, pacer_)) return false;
    }
    return true;
}

template <class T>
bool StepRows<T>::load(const Problem<T>& problem) {
    problem_ = problem;
    n_ = problem.x.length;
    m_ = problem.y.length;
    is_spoilt_ = false;
    ranges_.clear();
    // A step may pass over a row, so the ranges are not trimmed to those of their neighbours.
    if (options_.window.kind != Window::Kind::none && !window_rows(options_.window, n_, m_, ranges_, pacer_))
        return false;
    return clear(totals_) && clear(costs_);
}

// Turns y to [dim][stride], so that a vector holds one dimension of neighbouring columns.
template <class T>
bool StepRows<T>::copy_columns() {
    stride_ = m_ + kernels_.width;
    T* const out = y_.reserve(dim_ * stride_);
    for (std::int64_t from = 0; from < m_; from += kStretch) {
        const std::int64_t to = std::min(from + kStretch, m_);
        for (std::int64_t d = 0; d < dim_; ++d)
            for (std::int64_t j = from; j < to; ++j) out[d * stride_ + j] = problem_.y.data[j * dim_ + d];
        if (!pacer_.proceed((to - from) * dim_)) return false;
    }
    for (std::int64_t d = 0; d < dim_; ++d) std::fill_n(out + d * stride_ + m_, kernels_.width, T(0));
    return true;
}

// Rows of a block: as many as make directions and kept rows about equal, or all that fit a small block.
template <class T>
bool StepRows<T>::plan_blocks() {
    widest_ = 1;
    for (const Range& row : ranges_) widest_ = std::max(widest_, row.stop - row.start);
    if (ranges_.empty()) widest_ = m_;
    const auto root = static_cast<std::int64_t>(
        std::sqrt(static_cast<double>(n_) * static_cast<double>(pattern_.rows) * static_cast<double>(sizeof(T))));
    const std::int64_t small = std::min(kBlockBytes, options_.checkpoint_bytes) / widest_;
    block_ = std::clamp(std::max(root, small), std::min(pattern_.rows + 1, n_), n_);
    kept_at_.assign(1, 0);
    std::int64_t size = 0;
    for (std::int64_t first = block_; first < n_; first += block_) {
        kept_at_.push_back(size);
        for (std::int64_t i = first - pattern_.rows; i < first; ++i) size += range(i).stop - range(i).start;
    }
    kept_.reserve(size);
    choices_.reserve(block_ * widest_ + kernels_.width);
    return pacer_.proceed(n_);
}

template <class T>
std::int64_t StepRows<T>::block_end(std::int64_t block) const {
    return std::min((block + 1) * block_, n_);
}

// Makes a row of the ring infinite again, and says where it will be finite.
template <class T>
bool StepRows<T>::begin_row(Row& row, Range range) {
    if (!fill_paced(row.at_zero + row.held.start, row.held.stop - row.held.start, kInfinity<T>, pacer_)) return false;
    row.held = {range.start, std::max(range.start, range.stop)};
    return true;
}

// The local costs of columns [begin, end) of row i; what is written past the end is infinite.
template <class T>
bool StepRows<T>::fill_costs(std::int64_t i, std::int64_t begin, std::int64_t end) {
    T* const out = costs(i).at_zero;
    if (is_free_) {
        std::fill(out + begin, out + end, T(0));
    } else if (local_ == Local::matrix) {
        const T* const row = problem_.matrix + i * problem_.matrix_stride;
        for (std::int64_t j = begin; j < end; ++j) {
            is_spoilt_ |= !(row[j] > -kInfinity<T>);
            out[j] = row[j];
        }
    } else {
        kernels_.costs[static_cast<std::size_t>(local_)](problem_.x.data + i * dim_, y_.data(), dim_, stride_, begin,
                                                         end, out);
        std::fill_n(out + end, kernels_.width, kInfinity<T>);
    }
    return pacer_.proceed((end - begin) * dim_ / kernels_.width + 1);
}

template <class T>
bool StepRows<T>::advance(std::int64_t i, bool record) {
    const Range cells = range(i);
    if (!begin_row(costs(i), cells) || !begin_row(total(i), cells)) return false;
    for (std::size_t s = 0; s < steps_.size(); ++s) {
        const StepPattern::Step& step = pattern_.steps[s];
        // Rows before the first are infinite: the ring holds none yet.
        steps_[s].from = total(i + static_cast<std::int64_t>(totals_.size()) - step.rows).at_zero - step.columns;
    }
    for (std::size_t t = 0; t < terms_.size(); ++t) {
        const StepPattern::Cell& cell = pattern_.cells[t];
        terms_[t].cost = costs(i + static_cast<std::int64_t>(costs_.size()) - cell.rows).at_zero - cell.columns;
    }
    RowPass<T> pass{total(i).at_zero, terms_.data(), steps_.data(), static_cast<int>(pattern_.crossing),
                    static_cast<int>(steps_.size() - pattern_.crossing), 0, 0,
                    // What is written past the end of a row is written over by the next one.
                    record ? choices_.data() + (i - recorded_ * block_) * widest_ - cells.start : nullptr};
    for (std::int64_t begin = cells.start; begin < cells.stop; begin += kStretch) {
        const std::int64_t end = std::min(begin + kStretch, cells.stop);
        if (!fill_costs(i, begin, end)) return false;
        if (i == 0) {
            const std::int64_t stop = pattern_.open_begin ? end : std::min<std::int64_t>(end, 1);
            for (std::int64_t j = begin; j < stop; ++j) pass.row[j] = costs(0).at_zero[j];
        }
        pass.begin = begin;
        pass.end = end;
        (record ? kernels_.record : kernels_.advance)(pass);
        const auto work = (end - begin) * static_cast<std::int64_t>(terms_.size());
        if (!pacer_.proceed(work / (pattern_.crossing < steps_.size() ? 1 : kernels_.width) + 1)) return false;
    }
    return true;
}

// Keeps the rows above row `first`.
template <class T>
void StepRows<T>::keep_rows(std::int64_t first) {
    T* out = kept_.data() + kept_at_[static_cast<std::size_t>(first / block_)];
    for (std::int64_t i = first - pattern_.rows; i < first; ++i) {
        const Range cells = range(i);
        if (cells.start < cells.stop)
            out = std::copy(total(i).at_zero + cells.start, total(i).at_zero + cells.stop, out);
    }
}

// Computes a block again, recording.
template <class T>
bool StepRows<T>::record_block(std::int64_t block) {
    recorded_ = block;
    if (!clear(totals_) || !clear(costs_)) return false;
    const std::int64_t first = block * block_;
    const T* in = kept_.data() + kept_at_[static_cast<std::size_t>(block)];
    for (std::int64_t i = first - (block > 0 ? pattern_.rows : 0); i < first; ++i) {
        const Range cells = range(i);
        total(i).held = costs(i).held = {cells.start, std::max(cells.start, cells.stop)};
        if (cells.start >= cells.stop) continue;
        std::copy_n(in, cells.stop - cells.start, total(i).at_zero + cells.start);
        in += cells.stop - cells.start;
        for (std::int64_t begin = cells.start; begin < cells.stop; begin += kStretch)
            if (!fill_costs(i, begin, std::min(begin + kStretch, cells.stop))) return false;
    }
    for (std::int64_t i = first; i < block_end(block); ++i)
        if (!advance(i, true)) return false;
    return true;
}

template <class T>
auto StepRows<T>::run(const Problem<T>& problem, ReversePath* path) -> Result {
    const Result stopped{kInfinity<T>, Status::ok, true};
    if (path != nullptr) path->length = 0;
    if (!load(problem) || (!is_free_ && local_ != Local::matrix && !copy_columns())) return stopped;
    if (path != nullptr && !plan_blocks()) return stopped;
    recorded_ = path != nullptr ? (n_ - 1) / block_ : 0;
    for (std::int64_t i = 0; i < n_; ++i) {
        const bool begins_block = path != nullptr && i > 0 && i % block_ == 0;
        if (begins_block) keep_rows(i);
        if (!advance(i, path != nullptr && i / block_ == recorded_)) return stopped;
        if (!pacer_.proceed(1)) return stopped;
    }
    if (is_spoilt_) return {kInfinity<T>, Status::nan, false};
    const Range cells = range(n_ - 1);
    const T* const last = total(n_ - 1).at_zero;
    std::int64_t column = m_ - 1;
    if (pattern_.open_end && cells.start < cells.stop)
        column = std::min_element(last + cells.start, last + cells.stop) - last;
    const Result result{last[column] + T(0), Status::ok, false};
    if (path != nullptr && result.cost < kInfinity<T> && static_cast<double>(result.cost) <= options_.max_cost &&
        !trace(column, *path))
        return stopped;
    return result;
}

template <class T>
std::optional<bool> StepRows<T>::feasible(std::int64_t n, std::int64_t m) {
    is_free_ = true;
    const Result result = run({{nullptr, n}, {nullptr, m}}, nullptr);
    is_free_ = false;
    if (result.stopped) return std::nullopt;
    return result.cost < kInfinity<T>;
}

// Another thread may be writing to the input, so that a block computed again differs: the walk then ends where it
// leaves the window.
template <class T>
bool StepRows<T>::trace(std::int64_t column, ReversePath& path) {
    const auto add = [&](std::int64_t i, std::int64_t j, double weight) {
        path.x[path.length] = i;
        path.y[path.length] = j;
        path.weight[path.length] = weight;
        ++path.length;
    };
    std::int64_t i = n_ - 1, j = column;
    for (;;) {
        const Range cells = i >= 0 ? range(i) : Range{0, 0};
        if (j < cells.start || j >= cells.stop) return true;
        if (i / block_ != recorded_ && !record_block(i / block_)) return false;
        const std::uint8_t choice = choices_.data()[(i - recorded_ * block_) * widest_ + j - cells.start];
        if (choice >= pattern_.steps.size()) {
            add(i, j, 1);
            return true;
        }
        const StepPattern::Step& step = pattern_.steps[choice];
        for (std::size_t t = step.last; t-- > step.first;) {
            const StepPattern::Cell& cell = pattern_.cells[t];
            add(i - cell.rows, j - cell.columns, cell.weight);
        }
        i -= step.rows;
        j -= step.columns;
    }
}

template class StepRows<float>;
template class StepRows<double>;

}  // namespace coalign::warping
