// Which columns of a row a path may visit, and when a lane comes to which row.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "warping/window.hpp"

namespace coalign::cuda {

using warping::Window;

struct Columns {
    int start, stop;
};

// The window of one (n, m) lattice: the rules of csrc/warping/window.cpp.
struct Bounds {
    Window::Kind kind;
    int n, m;
    std::int64_t radius;
    const std::int32_t* rows;

    __host__ __device__ Columns row(int i) const {
        std::int64_t start = 0, stop = m;
        if (kind == Window::Kind::band) {
            start = i - radius - (n > m ? n - m : 0);
            stop = i + radius + (m > n ? m - n : 0) + 1;
        } else if (kind == Window::Kind::slanted && n > 1) {
            // |j (n - 1) - i (m - 1)| <= radius * max(n - 1, m - 1)
            const std::int64_t span = n - 1, reach = radius * (n > m ? n - 1 : m - 1);
            const std::int64_t centre = static_cast<std::int64_t>(i) * (m - 1);
            start = centre > reach ? (centre - reach + span - 1) / span : 0;
            stop = (centre + reach) / span + 1;
        } else if (kind == Window::Kind::rows) {
            return {rows[2 * i], rows[2 * i + 1]};
        }
        return {static_cast<int>(start > 0 ? start : 0), static_cast<int>(stop < m ? stop : m)};
    }

    // The first row whose window goes past column c, or n.
    __host__ __device__ int first_past(int c) const {
        if (kind == Window::Kind::none) return 0;
        int low = 0, high = n;
        while (low < high) {
            const int middle = low + (high - low) / 2;
            if (row(middle).stop > c) high = middle;
            else low = middle + 1;
        }
        return low;
    }

    // The first row whose window starts at column c or past it, or n.
    __host__ __device__ int first_from(int c) const {
        if (kind == Window::Kind::none) return n;
        int low = 0, high = n;
        while (low < high) {
            const int middle = low + (high - low) / 2;
            if (row(middle).start >= c) high = middle;
            else low = middle + 1;
        }
        return low;
    }

    // Whether a path runs through the windows from (0, 0) to (n - 1, m - 1).
    __host__ __device__ bool feasible() const {
        if (kind == Window::Kind::none) return true;
        const Columns top = row(0);
        if (top.start != 0 || top.stop <= 0 || row(n - 1).stop != m) return false;
        int first = 0, last = top.stop - 1;  // reachable cells of the row above
        for (int i = 1; i < n; ++i) {
            const Columns now = row(i);
            first = first > now.start ? first : now.start;
            if (first > last + 1 || first >= now.stop) return false;
            last = now.stop - 1;
        }
        return true;
    }
};

// A group of `lanes` lanes computes a lattice. Its columns are cut into blocks, and lane l takes blocks l, l + lanes,
// ...; its rows into tiles. A lane does one tile of its block a step, and at step s it is at tile s - shift(block).
// Blocks of one round of the lanes are shifted by one step each, so that a lane finds what its left neighbour did the
// step before. Where the window lets every lane finish before the round comes to it again (`rolling`), the rounds
// follow on in the same rhythm, and the last lane hands on to the first; else the last lane's column waits in memory.
struct Schedule {
    Bounds bounds;
    int columns, rows;  // of a tile
    int lanes;

    __host__ __device__ int blocks() const { return (bounds.m + columns - 1) / columns; }
    __host__ __device__ int top(int block) const { return bounds.first_past(block * columns) / rows; }
    __host__ __device__ int bottom(int block) const {
        return (bounds.first_from((block + 1) * columns) + rows - 1) / rows;
    }

    // Whether the lane of a block is done with it a step before its next block's turn.
    __host__ __device__ bool rolls_past(int block) const {
        return block + lanes >= blocks() || bottom(block) < top(block + lanes) + lanes;
    }

    // By how much the next round is shifted against the round that starts at block `first`.
    __host__ __device__ std::int64_t next_shift(int first, bool rolling) const {
        if (rolling) return lanes;
        // The two steps of slack let the column be written before it is fetched ahead.
        const int wait = bottom(first + lanes - 1) - top(first + lanes) + 1;
        return wait > lanes + 2 ? wait : lanes + 2;
    }

    // Steps until the last block is done.
    __host__ __device__ std::int64_t steps(bool rolling) const {
        const int last = blocks() - 1;
        std::int64_t shift = rolling ? last / lanes * static_cast<std::int64_t>(lanes) : 0;
        if (!rolling)
            for (int first = 0; first + lanes <= last; first += lanes) shift += next_shift(first, false);
        const int end = bottom(last);
        return shift + last % lanes + (end > 0 ? end : 0);
    }
};

}  // namespace coalign::cuda
