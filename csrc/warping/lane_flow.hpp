// The engine of a search inside a band: one query against candidates of one length, one in each lane of a vector. A
// lane whose candidate is done, or can no longer be near, takes the next one at the next block of rows, whatever rows
// the other lanes are at: inside a band all blocks look alike.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "warping/bounds.hpp"
#include "warping/problem.hpp"

namespace coalign::warping {

// Where candidates come from, and where their costs go.
template <class T>
class Candidates {
   public:
    virtual ~Candidates() = default;
    // The number of the next one, or -1. rest[b]: what rows from block b on cost at least.
    virtual std::int64_t next(Series<T>& y, std::vector<double>& rest) = 0;
    virtual void warped(std::int64_t candidate, T cost) = 0;
    // Whether a candidate that costs at least so much can be left.
    virtual bool is_beyond(std::int64_t candidate, double cost) = 0;
};

template <class T>
class LaneFlow {
   public:
    LaneFlow(const Kernels<T>& kernels, const BoundKernels<T>& bounds, Local local, std::int64_t dim, Pacer& pacer);

    // Whether it computes a query of n frames and candidates of m in less time than whole groups.
    static bool suits(const Kernels<T>& kernels, const Options& options, std::int64_t dim, std::int64_t n,
                      std::int64_t m);

    // Warps all candidates to a query. False when the call was stopped.
    bool run(Series<T> x, std::int64_t m, Reach reach, Candidates<T>& candidates);

   private:
    struct Lane {
        std::int64_t candidate = -1;
        std::int64_t block = 0;
        Series<T> y{};
        std::vector<double> rest;
    };

    void place();
    void begin(std::size_t lane);
    void feed();
    void advance(bool ends);
    void settle(bool ends, Candidates<T>& candidates);

    const Kernels<T>& kernels_;
    const BoundKernels<T>& bounds_;
    const Local local_;
    const std::int64_t dim_;
    Pacer& pacer_;

    Series<T> x_{};
    std::int64_t m_ = 0, before_ = 0, after_ = 0;
    std::int64_t wide_ = 0;    // columns of a row
    std::int64_t blocks_ = 0;  // of rows
    std::int64_t base_ = 0;    // where the columns of the block at hand begin
    std::int64_t room_ = 0;    // columns that the buffers hold
    std::array<Lane, kMostLanes> lanes_;
    std::array<T, kMostLanes> costs_;
    Buffer<T> frames_, columns_, row_, state_;
    Buffer<LaneInt<T>> start_, stop_;
};

extern template class LaneFlow<float>;
extern template class LaneFlow<double>;

}  // namespace coalign::warping
