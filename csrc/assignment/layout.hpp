// Dense costs of any strides, and copies of them whose columns lie side by side.
#pragma once

#include <algorithm>
#include <cstdint>

#include "assignment/kernels.hpp"
#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "core/ragged.hpp"

namespace coalign::assignment {

template <class T>
MatrixView<T> transposed(const MatrixView<T>& costs) {
    return {costs.data, costs.columns, costs.rows, costs.column_stride, costs.row_stride};
}

template <class T>
bool has_rows(const MatrixView<T>& costs) {
    return costs.column_stride == 1 || costs.columns <= 1;
}

// Copies costs of any strides as rows side by side. False when the call is to stop.
template <class T>
bool copy_by_rows(const Kernels<T>& kernels, const MatrixView<T>& costs, T* out, Pacer& pacer) {
    if (costs.row_stride == 1) {
        // Their columns lie side by side, so this is a transposition. It goes by bands of the output, whose pages may
        // be new.
        constexpr std::int64_t band = 64;
        for (std::int64_t i = 0; i < costs.rows; i += band) {
            kernels.transpose(costs.data + i, costs.columns, std::min(band, costs.rows - i), costs.column_stride,
                              out + i * costs.columns);
            // Cache lines that lie whole rows apart miss the cache.
            if (!pacer.proceed(band * costs.columns)) return false;
        }
        return true;
    }
    for (std::int64_t i = 0; i < costs.rows; ++i) {
        for (std::int64_t j = 0; j < costs.columns; ++j)
            out[i * costs.columns + j] = costs.data[i * costs.row_stride + j * costs.column_stride];
        if (!pacer.proceed(costs.columns)) return false;
    }
    return true;
}

// Replaces costs of other strides by a copy whose columns lie side by side.
template <class T>
bool take_rows(const Kernels<T>& kernels, MatrixView<T>& costs, Buffer<T>& room, Pacer& pacer) {
    if (has_rows(costs)) return true;
    T* const copy = room.reserve(costs.rows * costs.columns);
    if (!copy_by_rows(kernels, costs, copy, pacer)) return false;
    costs = {copy, costs.rows, costs.columns, costs.columns, 1};
    return true;
}

}  // namespace coalign::assignment
