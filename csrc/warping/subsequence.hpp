// The best matches of a short series, the query, inside a long one.
#pragma once

#include <cstdint>
#include <vector>

#include "core/batch_run.hpp"
#include "core/buffer.hpp"
#include "core/isa.hpp"
#include "core/lane_int.hpp"
#include "warping/warping.hpp"

namespace coalign::warping {

// What the kernels ask: anti-diagonals of a lattice whose rows are the query's frames and whose columns are the long
// series'. Every cell holds the least cost of a path that begins in the first row, and the column where it begins. The
// cells of one diagonal depend on the two before alone, so a vector holds neighbouring rows, and memory is O(query).
template <class T>
struct DiagonalPass {
    const T* x;         // [dim][x_stride]
    const T* x_square;  // [rows]: of the expanded forms only, as y_square
    const T* y;         // [dim][y_stride]: frame `latest` first, then the ones before it, zeros where there are none
    const T* y_square;
    std::int64_t dim, x_stride, y_stride, rows, columns, latest;
    std::int64_t begin, end;  // diagonals: cell (i, j) is on diagonal i + j
    // Diagonal d is number d % 3, indexed by row, with room for vectors past the last.
    T* cost[3];
    LaneInt<T>* start[3];
    // The last row of the lattice, indexed by column.
    T* last_cost;
    LaneInt<T>* last_start;
};

template <class T>
struct DiagonalKernels {
    int width;
    // The squared norms of frames, [dim][count], of which there are whole vectors.
    void (*square)(const T* frames, std::int64_t dim, std::int64_t count, T* out);
    void (*advance[kLocals])(const DiagonalPass<T>&);  // none for matrices
};

// How many vectors of a diagonal are in flight together, and with that the room past its last row.
inline constexpr int kDiagonalVectors = 4;

// Columns [start, stop) of the long series, and what the best path of the query over exactly them costs.
struct Match {
    std::int64_t start, stop;
    double cost;
};

// matches[p]: up to `most` matches of pair p, none of which shares a frame with another. Every end has one candidate, a
// cheapest path to it; the cheapest candidate is taken first, of equals the one that ends first, then the cheapest that
// shares no frame with what was taken, and so on. status[p] is infeasible where there are fewer.
template <class T>
Run find_matches(Isa isa, const Pairs& pairs, const Options& options, std::int64_t most, double work_per_thread,
                 Pulse& pulse, std::vector<Match>* matches, Status* status);

}  // namespace coalign::warping
