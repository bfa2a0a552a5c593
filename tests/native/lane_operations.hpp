// The operations of core/lanes.hpp behind pointers: compiled once per instruction set, compared by code that is
// compiled once. Vectors are arrays of `width` elements without any alignment.
#pragma once

#include <cstdint>

#include "core/isa_table.hpp"
#include "core/lane_int.hpp"

namespace coalign::testing {

template <class T>
struct LaneOperations {
    using Int = LaneInt<T>;
    int width;
    bool fuses;  // fused() rounds once
    void (*copy)(const T* from, T* to);
    void (*copy_int)(const Int* from, Int* to);
    void (*splat)(T value, T* out);
    void (*load_first)(const T* from, int count, T fill, T* out);
    void (*infinity)(T* out);
    void (*select)(const Int* mask, const T* a, const T* b, T* out);
    void (*absolute)(const T* v, T* out);
    void (*minimum)(const T* a, const T* b, T* out);
    void (*fused)(const T* a, const T* b, const T* c, T* out);
    void (*square_root)(const T* v, T* out);
    void (*quotient)(const T* a, const T* b, T* out);
    void (*least_lane)(const T* v, T* out);
    void (*two_least_lanes)(const T* least, const T* second, T* out);  // the two
    unsigned (*bits)(const Int* mask);
    void (*maximum)(const T* a, const T* b, T* out);
    void (*shift_down)(const T* v, T entering, T* out);
    void (*transpose)(const T* square, T* out);  // [row][lane]
    void (*load_turned)(const T* const* lines, std::int64_t at, T* out);
    // Half a square of lines, two in each vector; out is [column][line].
    void (*turn_halves)(const T* const* lines, int count, T fill, T* out);
    void (*add_where)(const Int* set, int bit, const T* x, const T* y, T* out);
};

}  // namespace coalign::testing
