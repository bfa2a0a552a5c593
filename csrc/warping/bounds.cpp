#include "warping/bounds.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

namespace coalign::warping {

template <class T>
void Envelope<T>::make(const BoundKernels<T>& kernels, Series<T> series, std::int64_t dim, Reach reach,
                       std::int64_t rows) {
    const std::int64_t room = rows * dim + kernels.width;
    kernels.envelope(series.data, series.length, dim, reach.before, reach.after, rows,
                     scratch_.reserve(envelope_scratch(dim, reach.before, reach.after, rows, kernels.width)),
                     lower_.reserve(room), upper_.reserve(room));
}

template <class T>
Bounds<T>::Bounds(const BoundKernels<T>& kernels, const Options& options, std::int64_t dim)
    : kernels_(kernels), options_(options), dim_(dim), local_(local_cost(options.metric, dim)) {
    are_squares_ = local_ == Local::square || local_ == Local::square_sum || local_ == Local::expanded_square_sum;
    const bool is_sum = are_squares_ || local_ == Local::magnitude || local_ == Local::magnitude_sum;
    has_envelopes_ = is_sum && (options.window.kind == Window::Kind::none || options.window.kind == Window::Kind::band);
}

template <class T>
double Bounds<T>::ends(Series<T> x, Series<T> y) const {
    // What underflows before a root is taken.
    const double tiny =
        std::sqrt(64 * static_cast<double>(dim_) * static_cast<double>(std::numeric_limits<T>::denorm_min()));
    const auto cost = [&](const T* a, const T* b) {
        double sum = 0;
        for (std::int64_t d = 0; d < dim_; ++d) {
            const double difference = static_cast<double>(a[d]) - static_cast<double>(b[d]);
            sum += options_.metric == Metric::cityblock ? std::abs(difference) : difference * difference;
        }
        return options_.metric == Metric::euclidean ? std::max(0.0, std::sqrt(sum) - tiny) : sum;
    };
    // Frames of a cosine are unit vectors, whose product cancels: its error is not relative.
    if (options_.metric == Metric::cosine) return 0;
    const double first = cost(x.data, y.data);
    if (x.length == 1 && y.length == 1) return first;
    return first + cost(x.data + (x.length - 1) * dim_, y.data + (y.length - 1) * dim_);
}

template <class T>
void Bounds<T>::prepare(Query<T>& query, std::int64_t candidate_length) const {
    if (query.candidate_length == candidate_length) return;
    query.reach = reach_of(options_.window, query.series.length, candidate_length);
    query.envelope.make(kernels_, query.series, dim_, {query.reach.after, query.reach.before}, candidate_length);
    query.candidate_length = candidate_length;
}

template <class T>
T Bounds<T>::keogh(const Query<T>& query, Series<T> y) const {
    return (are_squares_ ? kernels_.squares : kernels_.magnitudes)(y.data, query.envelope.lower(),
                                                                   query.envelope.upper(), y.length * dim_);
}

// sums[b]: of block b and all behind it.
template <class T>
void Bounds<T>::sum_blocks(const T* values, const Envelope<T>& envelope, std::int64_t frames,
                           std::vector<double>& sums) {
    const std::int64_t blocks = (frames + kBlockRows - 1) / kBlockRows;
    T* const each = blocks_.reserve(blocks);
    (are_squares_ ? kernels_.block_squares : kernels_.block_magnitudes)(values, envelope.lower(), envelope.upper(),
                                                                        frames * dim_, kBlockRows * dim_, each);
    sums.assign(static_cast<std::size_t>(blocks + 1), 0);
    for (std::int64_t b = blocks; b-- > 0;)
        sums[static_cast<std::size_t>(b)] = sums[static_cast<std::size_t>(b + 1)] + static_cast<double>(each[b]);
}

template <class T>
double Bounds<T>::reversed(const Query<T>& query, Series<T> y) {
    candidate_.make(kernels_, y, dim_, query.reach, query.series.length);
    sum_blocks(query.series.data, candidate_, query.series.length, rest_);
    return rest_[0];
}

template <class T>
double Bounds<T>::improved(const Query<T>& query, Series<T> y) {
    T* const moved = moved_.reserve(y.length * dim_ + kernels_.width);
    kernels_.clip(y.data, query.envelope.lower(), query.envelope.upper(), y.length * dim_, moved);
    sum_blocks(y.data, query.envelope, y.length, columns_);
    candidate_.make(kernels_, {moved, y.length}, dim_, query.reach, query.series.length);
    sum_blocks(query.series.data, candidate_, query.series.length, rows_);
    // Rows from block b on reach all columns that no row before them does.
    for (std::size_t b = 0; b < rows_.size(); ++b) {
        const auto row = static_cast<std::int64_t>(b) * kBlockRows;
        const std::int64_t column = b == 0 ? 0 : row + query.reach.after;
        const auto block = static_cast<std::size_t>((column + kBlockRows - 1) / kBlockRows);
        const double both = rows_[b] + (block < columns_.size() ? columns_[block] : 0);
        rest_[b] = std::max(rest_[b], both);
    }
    return rows_[0] + columns_[0];
}

template <class T>
Margin Bounds<T>::margin(std::int64_t n, std::int64_t m) const {
    // A path of K cells loses at most eps/2 of its cost at each addition, and as much in each local cost's own; a bound
    // gains as much at each of its additions. The expanded form of a local cost loses up to sixteen times its terms'
    // roundings. Twice all this is taken off. What underflows is off by less than the least number for each operation.
    constexpr double eps = std::numeric_limits<T>::epsilon(), tiny = std::numeric_limits<T>::denorm_min();
    const auto frames = static_cast<double>(n + m), dim = static_cast<double>(dim_);
    const double expanded = dim_ >= kExpandedDim ? 32 * dim : 0;
    const double lost = eps * (frames * (1 + dim) + dim + expanded + 64);
    // A sum that overflows may do so by its rounding alone.
    return {std::max(0.0, 1 - lost), 4 * frames * (1 + dim) * tiny, double{std::numeric_limits<T>::max()}};
}

template class Envelope<float>;
template class Envelope<double>;
template class Bounds<float>;
template class Bounds<double>;

}  // namespace coalign::warping
