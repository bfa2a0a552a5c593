// What the driver, compiled once, asks of the kernels, compiled once per instruction set.
//
// Cell (i, j) has the sum of exp(-cost / gamma) over all paths that lead to it:
//     Z(i, j) = exp(-d(x_i, y_j) / gamma) (Z(i - 1, j - 1) + Z(i - 1, j) + Z(i, j - 1)),
// kept as part * 2^-whole, where `whole` is a whole number of the type of the lanes. So a path's cost over gamma loses
// no digits however large it is, and a cell takes one exponential and no logarithm.
//
// A kernel computes one anti-diagonal, of the cells (i, k - i), with the rows i in lanes: nothing in it depends on
// anything else in it, and its part of a window is one range of rows. Arrays are indexed by the row.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::soft_warping {

// The cosine takes frames of length 1 or 0.
enum class Local { square_sum, root_square_sum, magnitude_sum, cosine, matrix };
inline constexpr int kLocals = 5;

// A local cost counts as no more than this many times gamma ln 2, and a cell as no more than twice as many. Where the
// total stays well below, what went through such a cell is nothing beside it. All whole numbers up to four times as
// many are exact.
template <class T>
inline constexpr T kMostWhole = sizeof(T) == 4 ? T(1 << 22) : T(std::int64_t{1} << 50);
// The cells outside the lattice or the window.
template <class T>
inline constexpr T kOutside = 2 * kMostWhole<T>;

// The diagonals between two that bring their parts back to about 1. A part grows by up to 3 sqrt(2) a diagonal, and
// shrinks by up to sqrt(2): it stays within 2^-8 to 2^20.
inline constexpr std::int64_t kScaleInterval = 8;

// The frames of a pair as a diagonal meets them: dimension d of x_i is x[d * x_stride + i], that of y_(k - i) is
// y[d * y_stride + shift + i]. Past the last of each dimension lie zeros, a vector of them at least. Where local costs
// are given, x[i] is that of (i, k - i).
template <class T>
struct Frames {
    const T *x, *y;
    std::int64_t dim, x_stride, y_stride, shift;
};

template <class T>
struct Cells {
    T *part, *whole;
};

template <class T>
struct ForwardStep {
    std::int64_t begin, end;  // the rows of the diagonal; not empty
    Frames<T> frames;
    T scale;                // log2(e) / gamma
    Cells<T> last, before;  // the diagonals k - 1 and k - 2
    Cells<T> out;
    // The recording form only: at [recorded + i], the probabilities that a path comes from (i - 1, j) and (i, j - 1).
    T *up, *left;
    std::int64_t recorded;
};

// What flows back from a cell into its three predecessors: the probability that a path visits it, times those of where
// it comes from.
template <class T>
struct Flows {
    T *up, *left, *diagonal;
};

template <class T>
struct BackwardStep {
    std::int64_t begin, end;
    Frames<T> frames;
    const T *up, *left;  // as recorded
    std::int64_t recorded;
    Flows<T> next, after;  // of the diagonals k + 1 and k + 2
    Flows<T> out;
    T* visits;           // the probability that a path visits each cell
    T *grad_x, *grad_y;  // to be added to, laid out as the frames; null where no gradient of frames is wanted
};

template <class T>
struct Kernels {
    Isa isa;
    int width;
    // By Local, and whether parts are brought back to 1.
    void (*forward[kLocals][2])(const ForwardStep<T>&);
    void (*recording_forward[kLocals][2])(const ForwardStep<T>&);
    void (*backward[kLocals])(const BackwardStep<T>&);
};

// The kernels of one instruction set.
template <class T>
const Kernels<T>& kernels_for(Isa isa) {
    return table_for<Kernels<T>>(isa);
}

}  // namespace coalign::soft_warping
