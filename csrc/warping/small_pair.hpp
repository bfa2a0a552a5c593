// The engine for one pair of few frames: all anti-diagonals of its lattice, which a path is traced through. It needs no
// memory but the stack's, and no plan: two series of 10 frames took the strips 0.5 us, most of it to set them up.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa_table.hpp"
#include "warping/strips.hpp"

namespace coalign::warping {

// The most frames of either series. On AVX-512 the strips are as quick from 36 frames on, where a frame is one number
// or 13; with vectors of two numbers they are from 16 frames of 13 numbers on.
inline constexpr std::int64_t kSmallFrames = 32, kSmallVectors = 8;

// One pair. Rows are frames of x, and a diagonal holds a value for each: of the row and the column that add up to its
// number. `rows` is a multiple of the width.
template <class T>
struct SmallPass {
    const T* x;  // [dim][rows]
    const T* y;  // [dim][y_stride]: the last frame first, between zeros; column j is `first - j` elements in
    std::int64_t dim, rows, diagonals, first, y_stride;
    T* values;  // [diagonals][stride]: a vector that begins with infinity, then the rows
    std::int64_t stride;
};

template <class T>
struct SmallKernels {
    int width;
    void (*run[kLocals])(const SmallPass<T>&);  // null for the forms of more dimensions, cosines and matrices
};

// Whether the engine takes such a pair. Where no checkpoints may be kept, it is for the strips to show that they do
// without. Which engine computes a pair shows in the time only.
template <class T>
bool suits_small(const SmallKernels<T>& kernels, const Options& options, std::int64_t dim, std::int64_t n,
                 std::int64_t m) {
    const bool is_short = n <= kSmallFrames && m <= kSmallFrames && (dim == 1 || n <= kSmallVectors * kernels.width);
    return is_short && dim <= kExpandedDim && options.checkpoint_bytes > 0 && options.pattern == nullptr &&
           options.window.kind == Window::Kind::none &&
           kernels.run[static_cast<std::size_t>(local_cost(options.metric, dim))] != nullptr;
}

// The cost, and the path if asked for and if the cost is no more than max_cost.
template <class T>
T warp_small(const SmallKernels<T>& kernels, const Options& options, std::int64_t dim, const Problem<T>& problem,
             ReversePath* path);

}  // namespace coalign::warping
