// What the drivers, compiled once, ask of the kernels, compiled once per instruction set.
//
// Both engines advance a block of kBlockRows rows of the lattice by one column per step, a vector per row.
//   pair lanes  lane l is pair l; all lanes are at the same column.
//   strips      lane l is the block of rows number (width - 1 - l) from the top of a strip of one pair; each lane
//               trails the lane above it by kDelay columns, so that the value it needs from there is ready.
// A cell is local cost + min(diagonal, left, up), and a minimum is exact in any order, so both engines give the
// same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/isa_table.hpp"
#include "core/lane_int.hpp"

namespace coalign::warping {

// Eight rows: 8 chains of min-min-fma (8 cycles) hide each other's latency, and the row buffer is read and
// written once per eight rows. Four rows with one vector ran at 0.7 of the speed on AVX-512, 0.6 on AVX2.
inline constexpr int kBlockRows = 8;
// Steps by which a lane trails the one above. One column's chain is 8 rows x 8 cycles plus the shift, 67 cycles;
// a step issues in 16.5: from 5 steps on the chain is hidden (6 leaves slack).
inline constexpr int kDelay = 6;

// How the cost of a cell comes from two frames. The first two are for one dimension; the expanded forms compute
// |x|^2 + |y|^2 - 2 x.y with half the operations.
enum class Local {
    square,
    magnitude,
    square_sum,
    root_square_sum,
    expanded_square_sum,
    expanded_root_square_sum,
    magnitude_sum,
    cosine,
    matrix
};
inline constexpr int kLocals = 9;
// The number of dimensions from which the expanded forms pay.
inline constexpr std::int64_t kExpandedDim = 16;

// The widest vector's lanes.
inline constexpr std::size_t kMostLanes = 16;

// Columns [begin, end) of one block of rows, for `width` pairs at once. Arrays are [..][lane].
template <class T>
struct LanePass {
    T* state;    // [kBlockRows + 1]: the block's latest column, then the diagonal of its first row
    const T* x;  // [kBlockRows][dim]
    const T* y;  // [columns][dim]
    T* row;      // [columns]: in, the row above the block; out, the last row of the block
    std::int64_t dim;
    std::int64_t begin, end;
    const LaneInt<T>* start;  // [kBlockRows]: the window of each row; read by the masked form only
    const LaneInt<T>* stop;
};

// Blocks [begin, end) of kDelay steps of one strip of one pair. Step s has the top lane at column s.
template <class T>
struct StripPass {
    T* state;    // [kBlockRows + 1 + kDelay][lane]: latest column, diagonal, the last bottoms by phase
    const T* x;  // [kBlockRows][dim][lane]
    const T* y;  // [kDelay][dim][stride]: column q * kDelay + p is at [p][.][q]; lane l reads q - (width-1-l)
    std::int64_t stride;
    T* row;  // [columns]: in, the row above the strip; out, its last row, behind what is still to be read
    std::int64_t dim;
    std::int64_t begin, end;
    const LaneInt<T>* start;  // [kBlockRows][lane]
    const LaneInt<T>* stop;
    T* record;  // [(end - begin) * kDelay][kBlockRows][lane], the recording form only
    // Local::matrix: the cost matrix itself.
    const T* matrix;
    std::int64_t matrix_stride, first_row, rows, first_column, columns;
    T* scratch;        // [kDelay][kBlockRows][lane]
    bool* suspicious;  // set when a NaN or -inf was read
};

// What the engine of step patterns asks: one row of the lattice at a time, whose cells come from earlier rows. Rows are
// indexed by column. They hold infinity where no path may be, before the first column and for a vector past the last.
template <class T>
struct RowStep {
    const T* from;    // the row that the step comes from, shifted by its columns
    int first, last;  // its cells among the terms
};

// A cell that a step visits: its row of local costs, shifted by its columns, and its weight.
template <class T>
struct RowTerm {
    const T* cost;
    T weight;
};

inline constexpr std::uint8_t kNoStep = 255;

template <class T>
struct RowPass {
    T* row;  // the first row holds its first cells already
    const RowTerm<T>* terms;
    const RowStep<T>* steps;  // those that come from earlier rows, then those that come from this one
    int crossing, staying;
    std::int64_t begin, end;
    // The recording form only: the number of the step that each cell comes from, or kNoStep. A vector past the end is
    // written.
    std::uint8_t* choice;
};

template <class T>
struct RowKernels {
    int width;
    // Local costs of one frame of x and columns [begin, end) of y, [dim][stride]: a vector past the end is written.
    void (*costs[kLocals])(const T* x, const T* y, std::int64_t dim, std::int64_t stride, std::int64_t begin,
                           std::int64_t end, T* out);
    void (*advance)(const RowPass<T>&);
    void (*record)(const RowPass<T>&);
};

template <class T>
struct Kernels {
    Isa isa;  // the set they were compiled for, so that a caller can tell what ran
    int width;
    // Series of `sizes[lane]` elements to [element][lane], zero up to `padded`, a multiple of the width.
    void (*pack)(const T* const* series, const std::int64_t* sizes, std::int64_t padded, T* out);
    void (*lanes[kLocals])(const LanePass<T>&);
    void (*masked_lanes[kLocals])(const LanePass<T>&);
    // The same inside a band, where the window of each row begins and ends a column behind that of the row above: a
    // whole block, whose first row has columns [0, end), of at least kBlockRows. Null where a frame that is infinitely
    // far does not give an infinite cost.
    void (*band_lanes[kLocals])(const LanePass<T>&);
    void (*strips[kLocals])(const StripPass<T>&);
    void (*masked_strips[kLocals])(const StripPass<T>&);
    void (*recording_strips[kLocals])(const StripPass<T>&);
};

// The kernels of one instruction set.
template <class T>
const Kernels<T>& kernels_for(Isa isa) {
    return table_for<Kernels<T>>(isa);
}

}  // namespace coalign::warping
