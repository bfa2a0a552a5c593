// What point clouds ask of their kernels, compiled once per instruction set: rows of costs that are made where they are
// used, a few rows against some columns at a time, and are never stored.
//
// An exponent is base + level - C / epsilon, where `base` belongs to the row and `level` to the column.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"

namespace coalign::transport {

// Columns lie in tiles of so many points, dimension by dimension; so do rows, and as many rows go together.
inline constexpr std::int64_t kTile = 32, kGroup = 8;
constexpr std::int64_t tiles_of(std::int64_t count) {
    return (count + kTile - 1) / kTile;
}

template <class K>
struct Cloud {
    const K* tiles;  // [tile][dimension][point]; points past the last are 0
    std::int64_t count, dimension;
};

// What is summed over dimensions: products, squares of differences, or these and then the root.
enum class Form { products, squares, roots };

// Some rows, at most kGroup, against all columns. What is missing to kGroup is evaluated too, and is finite.
template <class K>
struct PointRows {
    Cloud<K> columns;
    Form form;
    K slope;         // the exponent is base + level + slope * what is summed
    const K* point;  // [dimension][kGroup]
    std::int64_t count;
};

// One evaluation of tiles `begin` to `end`, for rows whose exponents are known to be moderate. Exponents are held below
// kMostExponent, so that sums are finite, and larger than any that is right where one was not.
template <class K>
struct EvaluatePass {
    PointRows<K> rows;
    std::int64_t begin, end;
    const K* base;   // kGroup
    const K* level;  // of columns; -inf past the last
    K* room;         // [tile - begin][kGroup][kTile]: the exponentials
    double* sum;     // kGroup; is added to
    double* moment;  // the same of exponentials times what is summed; null where nobody asks
    // The room, and nothing else, gets exponentials over distances, and 0 where there is no distance. Roots alone.
    bool is_slope = false;
};

template <class K>
inline constexpr K kMostExponent = sizeof(K) == sizeof(float) ? K(60) : K(600);

template <class K>
struct PointKernels {
    Isa isa;
    void (*evaluate)(const EvaluatePass<K>&);
    // The exponents of tiles, into the room, and the greatest of each row, which is raised to it.
    void (*raise)(const EvaluatePass<K>&, K* most);
    // Takes the exponents in the room to exponentials from `from`, which are added to the rows' sums.
    void (*exponentiate)(const EvaluatePass<K>&, const K* from);
    // sums += the sum over rows of scaling times the room, for as many tiles
    void (*gather)(const K* room, const K* scaling, std::int64_t tiles, K* sums);
    // out[row][c] += the sum over the room's columns of exponential times vector[column][c]; with an origin, times
    // origin[row][c] - vector[column][c].
    void (*mix)(const K* room, std::int64_t columns, const K* vectors, std::int64_t stride, std::int64_t dimension,
                const K* origin, K* out);
};

}  // namespace coalign::transport
