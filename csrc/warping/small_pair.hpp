// The engine for one pair of few frames, or in a narrow band: all anti-diagonals of its lattice, one after the other,
// each in a few registers. It needs no plan: two series of 10 frames took the strips 0.5 us, most of it to set them up.
//
// A lane of a diagonal is a distance i - j from the lattice's own diagonal. Along an anti-diagonal these distances go
// by twos, so two kinds of them alternate: those of the parity of `after`, and the others, whose lanes stand one frame
// further down. What comes across is two diagonals back in the same lane, and of what comes from the left and from
// above one is in the same lane and one in a neighbour's.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/buffer.hpp"
#include "core/isa_table.hpp"
#include "warping/strips.hpp"

namespace coalign::warping {

// The most vectors of a diagonal.
inline constexpr int kMostSmallVectors = 16;

// One pair. Frames are zero outside of the series, as far as lanes reach.
template <class T>
struct SmallPass {
    const T* x;  // [dim][x_stride], from the frame of the first diagonal's first lane on
    const T* y;  // [dim][y_stride], likewise, the last frame of the series first
    std::int64_t dim, x_stride, y_stride, diagonals;
    int vectors;
    bool begins_down;  // the first diagonal is one of those whose lanes stand a frame further down
    const T* corner;   // [vectors][lane]: 0 in the first cell's lane, else infinity
    const T* masks;    // [2][lane]: infinity where the last vector of a diagonal of either kind is outside the band
    T* values;         // [diagonals][vectors][lane], or null
    T* last;           // [vectors][lane]: the last diagonal
};

template <class T>
struct SmallKernels {
    int width;
    // Null for the forms of many dimensions, cosines and matrices.
    void (*run[kLocals])(const SmallPass<T>&);
    void (*run_masked[kLocals])(const SmallPass<T>&);
};

template <class T>
class SmallPair {
   public:
    SmallPair(const SmallKernels<T>& kernels, const Options& options, std::int64_t dim)
        : kernels_(kernels), options_(options), dim_(dim), local_(local_cost(options.metric, dim)) {}

    // Whether it takes a pair of n frames and m in less time than the strips do. Which engine computes a pair shows in
    // the time only. Where no checkpoints may be kept, it is for the strips to show that they do without.
    bool suits(std::int64_t n, std::int64_t m, bool has_path) const;

    // The cost, and the path if asked for and if the cost is no more than max_cost.
    T run(const Problem<T>& problem, ReversePath* path);

   private:
    const SmallKernels<T>& kernels_;
    const Options& options_;
    const std::int64_t dim_;
    const Local local_;
    Buffer<T> room_;
};

extern template class SmallPair<float>;
extern template class SmallPair<double>;

}  // namespace coalign::warping
