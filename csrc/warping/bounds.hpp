// Lower bounds of what it costs to warp a query to a candidate, from what a window lets each frame meet. They hold for
// the costs as the engines compute them, rounding included.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "warping/bounds_kernels.hpp"
#include "warping/problem.hpp"

namespace coalign::warping {

// The least and the greatest values that each frame of the other series may meet.
template <class T>
class Envelope {
   public:
    void make(const BoundKernels<T>& kernels, Series<T> series, std::int64_t dim, Reach reach, std::int64_t rows);

    const T* lower() const { return lower_.data(); }
    const T* upper() const { return upper_.data(); }

   private:
    Buffer<T> lower_, upper_, scratch_;
};

// Scales a bound down by what rounding may have added to it, or taken from a cost.
class Margin {
   public:
    Margin() = default;
    Margin(double scale, double least, double most) : scale_(scale), least_(least), most_(most) {}
    double operator()(double bound) const { return std::max(0.0, std::min(bound, most_) * scale_ - least_); }

   private:
    double scale_ = 0, least_ = 0, most_ = 0;
};

// A query, and what candidates of one length are compared with.
template <class T>
struct Query {
    Series<T> series;
    std::int64_t candidate_length = 0;  // 0: none yet
    Reach reach;
    Envelope<T> envelope;
};

template <class T>
class Bounds {
   public:
    Bounds(const BoundKernels<T>& kernels, const Options& options, std::int64_t dim);

    // Whether there are others than `ends`: the local cost has to be a sum over the dimensions, and the window none or
    // a band.
    bool has_envelopes() const { return has_envelopes_; }

    // LB_Kim: the two cells that every path visits. The bounds below leave nothing to it.
    double ends(Series<T> x, Series<T> y) const;

    // Has a query's envelope made for candidates of a length; what follows needs it.
    void prepare(Query<T>& query, std::int64_t candidate_length) const;

    // LB_Keogh: how far the candidate's frames lie outside of the query's envelope.
    T keogh(const Query<T>& query, Series<T> y) const;

    // The same from the other side: how far the query's frames lie outside of the candidate's envelope, by blocks of
    // kBlockRows rows. Keeps what is left to pay from each block on.
    double reversed(const Query<T>& query, Series<T> y);

    // LB_Improved: the candidate is moved into the query's envelope, and the query compared with the envelope of that.
    double improved(const Query<T>& query, Series<T> y);

    // What the rows from block `b` on cost at least, by the better of the two bounds before, for b up to the number of
    // blocks.
    const std::vector<double>& rest() const { return rest_; }

    // That of costs and bounds of n frames and m.
    Margin margin(std::int64_t n, std::int64_t m) const;

   private:
    void sum_blocks(const T* values, const Envelope<T>& envelope, std::int64_t frames, std::vector<double>& sums);

    const BoundKernels<T>& kernels_;
    const Options& options_;
    const std::int64_t dim_;
    const Local local_;
    bool has_envelopes_ = false, are_squares_ = false;
    Envelope<T> candidate_;
    Buffer<T> moved_, blocks_;
    std::vector<double> rest_, rows_, columns_;
};

extern template class Envelope<float>;
extern template class Envelope<double>;
extern template class Bounds<float>;
extern template class Bounds<double>;

}  // namespace coalign::warping
