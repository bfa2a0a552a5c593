#include "soft_warping/lattice.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>

#include "warping/inputs.hpp"

namespace coalign::soft_warping {
namespace {

// Frames that are turned between two looks at the pulse.
constexpr std::int64_t kFramesAtOnce = 1 << 14;

}  // namespace

// The rows of a diagonal; both ends step on by 0 or 1 from one to the next.
template <class T, class Given>
Range Lattice<T, Given>::rows(std::int64_t k) const {
    if (k < 0) return {0, 0};
    if (!rows_.empty()) return rows_[static_cast<std::size_t>(k)];
    return {std::max<std::int64_t>(k - m_ + 1, 0), std::min(n_, k + 1)};
}

template <class T, class Given>
Cells<T> Lattice<T, Given>::cells(std::int64_t k) const {
    T* const part = cells_.data() + (k + 3) % 3 * 2 * stride_ + 1;
    return {part, part + stride_};
}

template <class T, class Given>
Flows<T> Lattice<T, Given>::flows(std::int64_t k) const {
    T* const up = flows_.data() + k % 3 * 3 * stride_ + 1;
    return {up, up + stride_, up + 2 * stride_};
}

template <class T, class Given>
Frames<T> Lattice<T, Given>::frames(std::int64_t k) const {
    return {x_.data(), y_.data(), dim_, x_stride_, y_stride_, m_ - 1 - k};
}

// Row i meets the diagonals from i + start to i + stop. Both grow from row to row.
template <class T, class Given>
bool Lattice<T, Given>::bound_rows(const std::vector<Range>* window) {
    rows_.clear();
    widest_ = std::min(n_, m_);
    if (window == nullptr) return true;
    widest_ = 0;
    rows_.reserve(static_cast<std::size_t>(diagonals()));
    const std::vector<Range>& ranges = *window;
    std::int64_t begin = 0, end = 0;
    for (std::int64_t k = 0; k < diagonals(); ++k) {
        while (begin < n_ && begin + ranges[static_cast<std::size_t>(begin)].stop <= k) ++begin;
        while (end < n_ && end + ranges[static_cast<std::size_t>(end)].start <= k) ++end;
        rows_.push_back({begin, std::max(begin, end)});
        widest_ = std::max(widest_, end - begin);
        if (!pacer_.proceed(1)) return false;
    }
    return true;
}

// Turns a side to [dim][stride]; for the cosine its frames become as long as 1.
template <class T, class Given>
bool Lattice<T, Given>::turn(const Series<Given>& side, std::int64_t stride, bool reversed, T* out,
                             std::vector<T>& lengths) {
    const bool is_unit = local_ == Local::cosine;
    if (is_unit) lengths.resize(static_cast<std::size_t>(side.length));
    frame_.resize(static_cast<std::size_t>(dim_));
    for (std::int64_t t = 0; t < side.length; ++t) {
        std::copy_n(side.data + t * dim_, dim_, frame_.data());
        if (is_unit)
            lengths[static_cast<std::size_t>(t)] = warping::normalise_frame(frame_.data(), dim_, frame_.data());
        const std::int64_t at = reversed ? side.length - 1 - t : t;
        for (std::int64_t d = 0; d < dim_; ++d) out[d * stride + at] = frame_[static_cast<std::size_t>(d)];
        if (t % kFramesAtOnce == 0 && !pacer_.proceed(kFramesAtOnce * dim_)) return false;
    }
    for (std::int64_t d = 0; d < dim_; ++d) std::fill_n(out + d * stride + side.length, kernels_.width, T(0));
    return true;
}

template <class T, class Given>
bool Lattice<T, Given>::load(const std::vector<Range>* window) {
    n_ = problem_.x.length;
    m_ = problem_.y.length;
    if (!bound_rows(window)) return false;
    x_stride_ = n_ + kernels_.width;
    y_stride_ = m_ + kernels_.width;
    stride_ = n_ + kernels_.width + 2;
    T* const x = x_.reserve(dim_ * x_stride_);
    if (local_ == Local::matrix) return true;
    return turn(problem_.x, x_stride_, false, x, x_lengths_) &&
           turn(problem_.y, y_stride_, true, y_.reserve(dim_ * y_stride_), y_lengths_);
}

// The local costs of a diagonal, and a vector past them.
template <class T, class Given>
void Lattice<T, Given>::turn_costs(std::int64_t k) {
    const Range range = rows(k);
    for (std::int64_t i = range.start; i < range.stop; ++i)
        x_.data()[i] = static_cast<T>(problem_.matrix[i * problem_.matrix_stride + k - i]);
    std::fill_n(x_.data() + range.stop, kernels_.width, T(0));
}

// The diagonals before the first: the single cell before the lattice, and nothing else.
template <class T, class Given>
void Lattice<T, Given>::enter() {
    for (std::int64_t k = 0; k < 3; ++k) {
        std::fill_n(cells(k).part - 1, stride_, T(1));
        std::fill_n(cells(k).whole - 1, stride_, kOutside<T>);
    }
    cells(-2).whole[-1] = 0;
}

template <class T, class Given>
bool Lattice<T, Given>::forward(std::int64_t begin, std::int64_t end, bool record) {
    const auto local = static_cast<std::size_t>(local_);
    if (record) first_recorded_ = begin;
    for (std::int64_t k = begin; k < end; ++k) {
        const Range range = rows(k);
        const Cells<T> out = cells(k);
        if (range.start < range.stop) {
            if (local_ == Local::matrix) turn_costs(k);
            const ForwardStep<T> step{range.start,
                                      range.stop,
                                      frames(k),
                                      scale_,
                                      cells(k - 1),
                                      cells(k - 2),
                                      out,
                                      record_up_.data(),
                                      record_left_.data(),
                                      record ? recorded(k) : 0};
            const std::size_t scaled = k % kScaleInterval == kScaleInterval - 1 ? 1 : 0;
            (record ? kernels_.recording_forward : kernels_.forward)[local][scaled](step);
        }
        // What the next two diagonals read beside these cells.
        for (const std::int64_t i : {range.start - 1, range.stop}) {
            out.part[i] = 1;
            out.whole[i] = kOutside<T>;
        }
        if (!pacer_.proceed((range.stop - range.start) * (8 + dim_) + 1)) return false;
    }
    return true;
}

template <class T, class Given>
bool Lattice<T, Given>::backward(std::int64_t begin, std::int64_t end) {
    const bool has_gradient = out_.grad_x != nullptr;
    for (std::int64_t k = end; k-- > begin;) {
        const Range range = rows(k);
        const Flows<T> out = flows(k);
        if (range.start < range.stop) {
            const BackwardStep<T> step{range.start,
                                       range.stop,
                                       frames(k),
                                       record_up_.data(),
                                       record_left_.data(),
                                       recorded(k),
                                       flows(k + 1),
                                       flows(k + 2),
                                       out,
                                       visits_.data(),
                                       has_gradient ? grad_x_.data() : nullptr,
                                       has_gradient ? grad_y_.data() : nullptr};
            kernels_.backward[static_cast<std::size_t>(local_)](step);
        }
        for (T* const flow : {out.up, out.left, out.diagonal}) flow[range.start - 1] = flow[range.stop] = 0;
        if (out_.visits != nullptr)
            for (std::int64_t i = range.start; i < range.stop; ++i)
                out_.visits[i * m_ + k - i] = static_cast<Given>(visits_.data()[i]);
        if (!pacer_.proceed((range.stop - range.start) * (8 + dim_) + 1)) return false;
    }
    return true;
}

// The two diagonals before k, as far as later ones read them.
template <class T, class Given>
void Lattice<T, Given>::keep(std::int64_t k, T* out) const {
    for (const std::int64_t at : {k - 1, k - 2}) {
        const Range range = rows(at);
        for (const T* const from : {cells(at).part, cells(at).whole})
            out = std::copy(from + range.start - 1, from + range.stop + 1, out);
    }
}

template <class T, class Given>
void Lattice<T, Given>::return_to(std::int64_t k, const T* kept) {
    if (k == 0) return enter();
    for (const std::int64_t at : {k - 1, k - 2}) {
        const Range range = rows(at);
        const std::int64_t count = range.stop - range.start + 2;
        for (T* const to : {cells(at).part, cells(at).whole}) {
            std::copy_n(kept, count, to + range.start - 1);
            kept += count;
        }
    }
}

// Diagonals of each piece that so many are cut into.
template <class T, class Given>
std::int64_t Lattice<T, Given>::piece_of(std::int64_t count) const {
    return std::max(stretch_, (count + kPieces - 1) / kPieces);
}

// Goes forward, and keeps what the pieces begin from.
template <class T, class Given>
bool Lattice<T, Given>::sweep(std::int64_t begin, std::int64_t end, std::size_t depth) {
    const std::int64_t piece = piece_of(end - begin), size = 4 * (widest_ + 2);
    T* kept = kept_[depth].reserve(kPieces * size);
    for (std::int64_t k = begin; k < end; k += piece, kept += size) {
        if (k > 0) keep(k, kept);
        if (!forward(k, std::min(k + piece, end), false)) return false;
    }
    return true;
}

// Goes back over diagonals of which sweep() has kept the pieces.
template <class T, class Given>
bool Lattice<T, Given>::go_back(std::int64_t begin, std::int64_t end, std::size_t depth) {
    const std::int64_t piece = piece_of(end - begin), size = 4 * (widest_ + 2);
    for (std::int64_t p = (end - begin - 1) / piece; p >= 0; --p) {
        const std::int64_t first = begin + p * piece, last = std::min(first + piece, end);
        return_to(first, kept_[depth].data() + p * size);
        const bool done = last - first <= stretch_ ? forward(first, last, true) && backward(first, last)
                                                   : sweep(first, last, depth + 1) && go_back(first, last, depth + 1);
        if (!done) return false;
    }
    return true;
}

template <class T, class Given>
void Lattice<T, Given>::write_gradient(T* gradient, const T* frames, std::int64_t stride, bool reversed,
                                       const std::vector<T>& lengths, std::int64_t length, Given* out) const {
    const T factor = local_ == Local::square_sum ? T(2) : T(1);
    for (std::int64_t t = 0; t < length; ++t) {
        const std::int64_t at = reversed ? length - 1 - t : t;
        if (local_ == Local::cosine) {
            // So far the sum of the unit frames that u = x / |x| meets. What lies along u turns nothing, and 1 - u v
            // falls by the rest of v over |x|.
            const T norm = lengths[static_cast<std::size_t>(t)];
            T along = 0;
            for (std::int64_t d = 0; d < dim_; ++d) along += frames[d * stride + at] * gradient[d * stride + at];
            for (std::int64_t d = 0; d < dim_; ++d) {
                T& slope = gradient[d * stride + at];
                slope = norm > 0 ? (along * frames[d * stride + at] - slope) / norm : T(0);
            }
        }
        for (std::int64_t d = 0; d < dim_; ++d) *out++ = static_cast<Given>(factor * gradient[d * stride + at]);
    }
}

template <class T, class Given>
typename Lattice<T, Given>::Outcome Lattice<T, Given>::solve(const Problem<Given>& problem,
                                                             const std::vector<Range>* window, double gamma,
                                                             double& value, const Backward<Given>& out) {
    problem_ = problem;
    if (!load(window)) return Outcome::stopped;
    const double scale = std::numbers::log2e / gamma;
    if (scale > (sizeof(T) == 4 ? 1e30 : 1e300)) return Outcome::too_large;
    scale_ = static_cast<T>(scale);
    out_ = out;
    cells_.reserve(6 * stride_);
    enter();

    const std::int64_t count = diagonals();
    bool is_short = false;
    if (out.is_wanted()) {
        visits_.reserve(stride_);
        record_ = widest_ + kernels_.width;
        stretch_ = std::max<std::int64_t>(recorded_bytes_ / (2 * record_ * static_cast<std::int64_t>(sizeof(T))), 32);
        is_short = count <= stretch_;
        record_up_.reserve(std::min(count, stretch_) * record_);
        record_left_.reserve(std::min(count, stretch_) * record_);
    }
    const bool done = is_short || !out.is_wanted() ? forward(0, count, is_short) : sweep(0, count, 0);
    if (!done) return Outcome::stopped;
    const Cells<T> last = cells(count - 1);
    const double units = static_cast<double>(last.whole[n_ - 1]) - std::log2(static_cast<double>(last.part[n_ - 1]));
    // Beyond, what was cut off at the most could count: 3^(N + M) paths, and 2^-128 of the whole.
    if (units + 2 * static_cast<double>(count) + 128 > static_cast<double>(kMostWhole<T>)) return Outcome::too_large;
    value = gamma * std::numbers::ln2 * units;
    if (!out.is_wanted()) return Outcome::solved;

    std::fill_n(flows_.reserve(9 * stride_), 9 * stride_, T(0));
    flows(count).left[n_ - 1] = 1;
    if (out.grad_x != nullptr) {
        std::fill_n(grad_x_.reserve(dim_ * x_stride_), dim_ * x_stride_, T(0));
        std::fill_n(grad_y_.reserve(dim_ * y_stride_), dim_ * y_stride_, T(0));
    }
    if (!(is_short ? backward(0, count) : go_back(0, count, 0))) return Outcome::stopped;
    if (out.grad_x != nullptr) {
        write_gradient(grad_x_.data(), x_.data(), x_stride_, false, x_lengths_, n_, out.grad_x);
        write_gradient(grad_y_.data(), y_.data(), y_stride_, true, y_lengths_, m_, out.grad_y);
    }
    return Outcome::solved;
}

template class Lattice<float, float>;
template class Lattice<double, double>;
template class Lattice<double, float>;

}  // namespace coalign::soft_warping
