// A batch of matrices, or of series, whose rows are frames and whose columns are dimensions. It describes memory that
// somebody else holds, on the host or on a device; strides are in elements.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace coalign {

template <class T>
struct MatrixView {
    const T* data;
    std::int64_t rows, columns, row_stride, column_stride;
};

struct Ragged {
    // Item p begins `p * item_stride` elements past `data`, or where the table says.
    const void* data = nullptr;
    const void* const* items = nullptr;
    // What all items have in common; with lengths of their own, rows and columns are what an item has at most.
    std::int64_t count = 0, rows = 0, columns = 0, item_stride = 0, row_stride = 0, column_stride = 1;
    // One for each item, or null.
    const std::int64_t *row_lengths = nullptr, *column_lengths = nullptr;
    const std::int64_t *row_strides = nullptr, *column_strides = nullptr;

    constexpr std::int64_t rows_of(std::int64_t p) const { return row_lengths != nullptr ? row_lengths[p] : rows; }
    constexpr std::int64_t columns_of(std::int64_t p) const {
        return column_lengths != nullptr ? column_lengths[p] : columns;
    }
    template <class T>
    constexpr const T* begin_of(std::int64_t p) const {
        return items != nullptr ? static_cast<const T*>(items[p]) : static_cast<const T*>(data) + p * item_stride;
    }
    template <class T>
    constexpr MatrixView<T> at(std::int64_t p) const {
        return {begin_of<T>(p), rows_of(p), columns_of(p), row_strides != nullptr ? row_strides[p] : row_stride,
                column_strides != nullptr ? column_strides[p] : column_stride};
    }
    // Elements of all items, as a measure of work.
    double elements() const {
        if (row_lengths == nullptr && column_lengths == nullptr)
            return static_cast<double>(count) * static_cast<double>(rows) * static_cast<double>(columns);
        double sum = 0;
        for (std::int64_t p = 0; p < count; ++p)
            sum += static_cast<double>(rows_of(p)) * static_cast<double>(columns_of(p));
        return sum;
    }
};

// The items, those of the most rows first.
inline std::vector<std::int64_t> by_length(const Ragged& batch) {
    std::vector<std::int64_t> order(static_cast<std::size_t>(batch.count));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    if (batch.row_lengths == nullptr) return order;
    const auto is_before = [&](std::int64_t a, std::int64_t b) {
        const std::int64_t first = batch.rows_of(a), second = batch.rows_of(b);
        return first != second ? first > second : a < b;
    };
    if (!std::is_sorted(order.begin(), order.end(), is_before)) std::sort(order.begin(), order.end(), is_before);
    return order;
}

// Items of any shapes and strides, and the batch that they make.
class RaggedTable {
   public:
    explicit RaggedTable(std::int64_t most = 0) : most_(most), numbers_(static_cast<std::size_t>(4 * most)) {
        items_.reserve(static_cast<std::size_t>(most));
    }
    template <class T>
    void add(const MatrixView<T>& item) {
        std::int64_t* const at = numbers_.data() + items_.size();
        items_.push_back(item.data);
        at[0] = item.rows;
        at[most_] = item.columns;
        at[2 * most_] = item.row_stride;
        at[3 * most_] = item.column_stride;
    }
    // Valid as long as the table is, and nothing is added.
    Ragged batch() const {
        Ragged out;
        out.items = items_.data();
        out.count = static_cast<std::int64_t>(items_.size());
        out.row_lengths = numbers_.data();
        out.column_lengths = out.row_lengths + most_;
        out.row_strides = out.column_lengths + most_;
        out.column_strides = out.row_strides + most_;
        return out;
    }
    // The same of series, whose frames follow one another.
    Ragged series(std::int64_t dim) const {
        Ragged out = batch();
        out.columns = out.row_stride = dim;
        out.column_lengths = out.row_strides = out.column_strides = nullptr;
        return out;
    }

   private:
    std::int64_t most_;
    std::vector<const void*> items_;
    std::vector<std::int64_t> numbers_;
};

}  // namespace coalign
