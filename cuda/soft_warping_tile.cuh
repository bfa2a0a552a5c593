// A tile of one lattice, which a warp computes: local costs, forward, backward, and what it adds to the gradients.
//
// A lane has four rows, and takes four columns of them at a time: a group of rows, and one of columns. Lane l is at
// column group g in step l + g, so that it finds what the lane above did one step before. What a tile keeps of its
// cells lies in memory by step: group (l, g) at step (l + g) modulo the tile's period, whose lanes lie side by side.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "soft_warping_cell.cuh"
#include "warping_schedule.cuh"

namespace coalign::cuda {

constexpr int kGroup = 4;
constexpr int kTile = kGroup * static_cast<int>(kWarp);

template <class T>
struct alignas(16) Group {
    T values[kGroup];
};

// Frames as they are packed: dimension by dimension, `pitch` apart, halved, with zeros up to a whole group.
template <class Given>
struct Frames {
    const Given* data;
    std::int64_t pitch;
};

template <class Given>
struct Pair {
    Frames<Given> x, y;
    int dim;
    Bounds bounds;
};

struct Tile {
    int row, column;  // the first
    int rows, columns;

    __device__ Tile(const Bounds& bounds, int row_, int column_)
        : row(row_),
          column(column_),
          rows(bounds.n - row_ < kTile ? bounds.n - row_ : kTile),
          columns(bounds.m - column_ < kTile ? bounds.m - column_ : kTile) {}
    __device__ int row_groups() const { return (rows + kGroup - 1) / kGroup; }
    __device__ int column_groups() const { return (columns + kGroup - 1) / kGroup; }
    __device__ int period() const { return row_groups() > column_groups() ? row_groups() : column_groups(); }
    // Where a column of the group of a lane at a step lies.
    __device__ int at(int step, int k, int lane) const { return ((step * kGroup + k) * period() + lane) * kGroup; }
};

template <class T, class Given>
__device__ void load(const Given* from, T (&to)[kGroup]) {
    const Group<Given> group = *reinterpret_cast<const Group<Given>*>(from);
#pragma unroll
    for (int k = 0; k < kGroup; ++k) to[k] = static_cast<T>(group.values[k]);
}

template <class T>
__device__ void store(const T (&from)[kGroup], T* to) {
    Group<T> group;
#pragma unroll
    for (int k = 0; k < kGroup; ++k) group.values[k] = from[k];
    *reinterpret_cast<Group<T>*>(to) = group;
}

__device__ inline int lane_number() {
    return static_cast<int>(threadIdx.x % kWarp);
}

// Local costs in units of gamma ln 2; infinite outside the window. Unlike those that compute cells, the lanes lie 8 x 4
// here, with two by two groups each (two by one in float64): a frame that is loaded serves eight cells of a lane.
template <class T, class Given>
__device__ void measure_tile(const Pair<Given>& pair, const Tile& tile, T factor, T* costs) {
    constexpr int kDown = 2, kAcross = sizeof(T) == sizeof(float) ? 2 : 1;
    const int lane = lane_number(), period = tile.period();
    const int row_groups = tile.row_groups(), column_groups = tile.column_groups();
    for (int top = lane / 4 * kDown; top < row_groups; top += 8 * kDown) {
        const int i = tile.row + kGroup * top;
        Columns inside[kDown * kGroup];
#pragma unroll
        for (int r = 0; r < kDown * kGroup; ++r)
            inside[r] = i + r < pair.bounds.n ? pair.bounds.row(i + r) : Columns{0, 0};
        for (int first = lane % 4 * kAcross; first < column_groups; first += 4 * kAcross) {
            const int j = tile.column + kGroup * first;
            // A group that is not there is read as the one before.
            const int down = top + 1 < row_groups ? kGroup : 0, across = first + 1 < column_groups ? kGroup : 0;
            const Given *x = pair.x.data + i, *y = pair.y.data + j;
            T sum[kAcross][kGroup][kDown][kGroup] = {};
            for (int d = 0; d < pair.dim; ++d, x += pair.x.pitch, y += pair.y.pitch) {
                T rows[kDown][kGroup], columns[kAcross][kGroup];
#pragma unroll
                for (int g = 0; g < kDown; ++g) load(x + g * down, rows[g]);
#pragma unroll
                for (int h = 0; h < kAcross; ++h) load(y + h * across, columns[h]);
#pragma unroll
                for (int h = 0; h < kAcross; ++h) {
#pragma unroll
                    for (int k = 0; k < kGroup; ++k) {
#pragma unroll
                        for (int g = 0; g < kDown; ++g) {
#pragma unroll
                            for (int r = 0; r < kGroup; ++r) {
                                const T difference = rows[g][r] - columns[h][k];
                                sum[h][k][g][r] = fused(difference, difference, sum[h][k][g][r]);
                            }
                        }
                    }
                }
            }
#pragma unroll
            for (int h = 0; h < kAcross; ++h) {
#pragma unroll
                for (int g = 0; g < kDown; ++g) {
                    if (top + g >= row_groups || first + h >= column_groups) continue;
                    const int step = top + g + first + h, slot = step - (step < period ? 0 : period);
#pragma unroll
                    for (int k = 0; k < kGroup; ++k) {
                        const int column = j + h * kGroup + k;
                        T bits[kGroup];
#pragma unroll
                        for (int r = 0; r < kGroup; ++r) {
                            const Columns& row = inside[g * kGroup + r];
                            const bool counts = column >= row.start && column < row.stop;
                            // The lesser of NaN, of an infinite sum that counts nothing, and a number is the number.
                            bits[r] = counts ? lesser(sum[h][k][g][r] * factor, kMostWhole<T>) : kInfinity<T>;
                        }
                        store(bits, costs + tile.at(slot, k, top + g));
                    }
                }
            }
        }
    }
    __syncwarp();
}

// Computes the cells of a tile from the row `above` it, null where no path comes from there, the lane's cells to its
// `left`, which are those at its right edge afterwards, and the corner between them, which the first lane has. The last
// row goes to `below`, unless that is null, and the group of rows that ends with the last cell of the lattice to `end`.
// A recording puts the shares in the place of the costs, and into `lefts`.
template <class T, bool kRecord>
__device__ void go_forward(const Bounds& bounds, const Tile& tile, T* costs, T* lefts, const Cell<T>* above,
                           Cell<T> corner, Cell<T> (&left)[kGroup], Cell<T>* below, Cell<T>* end) {
    const int lane = lane_number(), period = tile.period(), groups = tile.column_groups();
    const bool has_end = tile.row + tile.rows == bounds.n && tile.column + tile.columns == bounds.m;
    const Cell<T> beside = from_lane(left[kGroup - 1], lane - 1);
    if (lane > 0) corner = beside;
    Cell<T> next[kGroup], last[kGroup];
#pragma unroll
    for (int k = 0; k < kGroup; ++k) {
        next[k] = lane == 0 && above != nullptr ? above[k] : kOutside<T>;
        last[k] = kOutside<T>;
    }
    const int steps = tile.row_groups() + groups - 1;
    for (int step = 0; step < steps; ++step) {
        Cell<T> up[kGroup];
#pragma unroll
        for (int k = 0; k < kGroup; ++k) {
            const Cell<T> passed = from_lane(last[k], lane - 1);
            up[k] = lane == 0 ? next[k] : passed;
        }
        const int group = step - lane;
        if (lane < tile.row_groups() && group >= 0 && group < groups) {
            const int slot = step - (step < period ? 0 : period);
            const bool is_end = has_end && lane == tile.row_groups() - 1 && group == groups - 1;
#pragma unroll
            for (int k = 0; k < kGroup; ++k) {
                T* const at = costs + tile.at(slot, k, lane);
                T bits[kGroup];
                load(at, bits);
                Shares<T> shares[kGroup];
                Cell<T> now[kGroup];
#pragma unroll
                for (int r = 0; r < kGroup; ++r) {
                    const Cell<T> from_above = r == 0 ? up[k] : now[r > 0 ? r - 1 : 0];
                    const Cell<T> before = k == 0 ? corner : up[k > 0 ? k - 1 : 0];
                    const Cell<T> diagonal = r == 0 ? before : left[r > 0 ? r - 1 : 0];
                    now[r] = combine<T, kRecord>(from_above, left[r], diagonal, bits[r], shares[r]);
                }
                if (is_end && k == (tile.columns - 1) % kGroup) {
#pragma unroll
                    for (int r = 0; r < kGroup; ++r) end[r] = now[r];
                }
                if constexpr (kRecord) {
                    T ups[kGroup], of_left[kGroup];
#pragma unroll
                    for (int r = 0; r < kGroup; ++r) {
                        ups[r] = shares[r].up;
                        of_left[r] = shares[r].left;
                    }
                    store(ups, at);
                    store(of_left, lefts + tile.at(slot, k, lane));
                }
#pragma unroll
                for (int r = 0; r < kGroup; ++r) left[r] = now[r];
                last[k] = normalised(now[kGroup - 1]);
            }
            // A part grows by up to 3 sqrt(2) a cell, and shrinks by sqrt(2): through seven cells it stays within 2^15.
#pragma unroll
            for (int r = 0; r < kGroup; ++r) left[r] = normalised(left[r]);
            corner = up[kGroup - 1];
            if (below != nullptr && lane == static_cast<int>(kWarp) - 1) {
#pragma unroll
                for (int k = 0; k < kGroup; ++k) below[group * kGroup + k] = last[k];
            }
        }
        if (lane == 0 && above != nullptr && step + 1 < groups) {
#pragma unroll
            for (int k = 0; k < kGroup; ++k) next[k] = above[(step + 1) * kGroup + k];
        }
    }
    __syncwarp();
}

// What flows back into the lane's last column from the right, and into the column before the last one computed, of the
// row above the lane's first: the probabilities of visits, times those of where they come from.
template <class T>
struct Flows {
    T right[kGroup];
    T corner;
};

// Puts the probability that a path visits each cell in the place of the shares `ups`. What flows from the row below the
// tile into its last row is in `flows`, by column; what flows out of its first row takes its place.
template <class T>
__device__ void go_backward(const Bounds& bounds, const Tile& tile, T* ups, const T* lefts, T* flows, Flows<T>& from) {
    const int lane = lane_number(), period = tile.period(), groups = tile.column_groups();
    const bool has_end = tile.row + tile.rows == bounds.n && tile.column + tile.columns == bounds.m;
    const int bottom = static_cast<int>(kWarp) - 1;
    const bool has_below = lane == bottom && tile.rows == kTile;
    const int steps = tile.row_groups() + groups - 1;
    T next[kGroup] = {}, last[kGroup] = {};
    if (has_below) load(flows + (groups - 1) * kGroup, next);
    for (int step = steps - 1; step >= 0; --step) {
        T into[kGroup];
#pragma unroll
        for (int k = 0; k < kGroup; ++k) {
            const T passed = __shfl_sync(kWholeWarp, last[k], lane + 1);
            into[k] = lane == bottom ? next[k] : passed;
        }
        const int group = step - lane;
        if (lane < tile.row_groups() && group >= 0 && group < groups) {
            const int slot = step - (step < period ? 0 : period);
            const bool is_end = has_end && lane == tile.row_groups() - 1 && group == groups - 1;
#pragma unroll
            for (int k = kGroup - 1; k >= 0; --k) {
                T* const at = ups + tile.at(slot, k, lane);
                T up[kGroup], left[kGroup], visits[kGroup];
                load(at, up);
                load(lefts + tile.at(slot, k, lane), left);
                const bool ends = is_end && k == (tile.columns - 1) % kGroup;
                T below = into[k], diagonal = 0;
#pragma unroll
                for (int r = kGroup - 1; r >= 0; --r) {
                    visits[r] = (from.right[r] + below) + (ends && r == (tile.rows - 1) % kGroup ? T(1) : T(0));
                    from.right[r] = visits[r] * left[r] + diagonal;
                    below = visits[r] * up[r];
                    // What the others leave, so that the three add up to 1 and nothing is lost on the way.
                    diagonal = visits[r] * greater(1 - (up[r] + left[r]), T(0));
                }
                store(visits, at);
                last[k] = below + from.corner;
                from.corner = diagonal;
            }
            if (lane == 0) store(last, flows + group * kGroup);
        } else {
#pragma unroll
            for (int k = 0; k < kGroup; ++k) last[k] = 0;
        }
        // The last lane comes to group step - 1 - bottom next.
        if (has_below && step - 1 - bottom >= 0 && step - 1 - bottom < groups)
            load(flows + (step - 1 - bottom) * kGroup, next);
    }
    __syncwarp();
}

// Dimensions of a gradient that a warp sums at a time: as many as leave the registers room.
template <class T>
constexpr int kSlopeDims = sizeof(T) == sizeof(float) ? 16 : 4;

// Adds what the tile's visits contribute to the gradients of `kDims` dimensions of x, or of y: of each visit twice the
// difference of the frames, which are halved. A lane has a group of frames of its own; their order in the sums depends
// on the tile alone. The sum of w (x - y) is that of w, times x, less that of w y: one operation instead of two. Frames
// are counted from the other side's first in the tile, so that an offset common to both series takes no digits.
template <class T, class Given, int kDims, bool kOfX>
__device__ void add_slopes(const Pair<Given>& pair, const Tile& tile, const T* visits, int dim, Given* gradient) {
    const Frames<Given>&own = kOfX ? pair.x : pair.y, &other = kOfX ? pair.y : pair.x;
    const int own_first = kOfX ? tile.row : tile.column, other_first = kOfX ? tile.column : tile.row;
    const int own_groups = kOfX ? tile.row_groups() : tile.column_groups();
    const int other_groups = kOfX ? tile.column_groups() : tile.row_groups();
    const int lane = lane_number(), period = tile.period();
    if (lane >= own_groups) return;
    T origin[kDims], sums[kDims][kGroup] = {}, mass[kGroup] = {};
#pragma unroll
    for (int e = 0; e < kDims; ++e) origin[e] = static_cast<T>(other.data[(dim + e) * other.pitch + other_first]);
    for (int step = 0; step < period; ++step) {
        const int group = step - lane + (step < lane ? period : 0);
        if (group >= other_groups) continue;
        T weights[kGroup][kGroup];  // by column and row
#pragma unroll
        for (int k = 0; k < kGroup; ++k) load(visits + tile.at(step, k, kOfX ? lane : group), weights[k]);
        const auto weight = [&](int o, int t) { return kOfX ? weights[t][o] : weights[o][t]; };
#pragma unroll
        for (int o = 0; o < kGroup; ++o) {
#pragma unroll
            for (int t = 0; t < kGroup; ++t) mass[o] += weight(o, t);
        }
#pragma unroll
        for (int e = 0; e < kDims; ++e) {
            T theirs[kGroup];
            load(other.data + (dim + e) * other.pitch + other_first + kGroup * group, theirs);
#pragma unroll
            for (int t = 0; t < kGroup; ++t) {
                const T from_origin = theirs[t] - origin[e];
#pragma unroll
                for (int o = 0; o < kGroup; ++o) sums[e][o] = fused(weight(o, t), from_origin, sums[e][o]);
            }
        }
    }
    const int first = own_first + kGroup * lane, length = kOfX ? pair.bounds.n : pair.bounds.m;
#pragma unroll
    for (int e = 0; e < kDims; ++e) {
        T mine[kGroup];
        load(own.data + (dim + e) * own.pitch + first, mine);
#pragma unroll
        for (int o = 0; o < kGroup; ++o) {
            if (first + o >= length) continue;
            Given* const out = gradient + static_cast<std::int64_t>(first + o) * pair.dim + dim + e;
            *out += static_cast<Given>(4 * (mass[o] * (mine[o] - origin[e]) - sums[e][o]));
        }
    }
}

// The same of the dimensions from `dim` to `end`.
template <class T, class Given, bool kOfX>
__device__ void add_gradient(const Pair<Given>& pair, const Tile& tile, const T* visits, int dim, int end,
                             Given* gradient) {
    constexpr int kMany = kSlopeDims<T>, kFew = 4;
    for (; dim + kMany <= end; dim += kMany) add_slopes<T, Given, kMany, kOfX>(pair, tile, visits, dim, gradient);
    for (; dim + kFew <= end; dim += kFew) add_slopes<T, Given, kFew, kOfX>(pair, tile, visits, dim, gradient);
    for (; dim < end; ++dim) add_slopes<T, Given, 1, kOfX>(pair, tile, visits, dim, gradient);
}

}  // namespace coalign::cuda
