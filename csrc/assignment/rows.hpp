// The pairs that a problem allows, row by row: what is not listed is forbidden.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "assignment/kernels.hpp"
#include "assignment/sparse.hpp"
#include "core/parallel.hpp"
#include "core/ragged.hpp"

namespace coalign::assignment {

template <class T>
struct Entry {
    T cost;
    std::int32_t column;
};

using Lines = std::vector<std::int32_t>;

// The entries of every row of the problem that is solved: each pair once, without forbidden ones, negated when
// maximising. They are copied because every search goes through them: cost and column lie side by side, and 32 bits
// hold a column.
template <class T>
class Rows {
   public:
    Outcome take(const SparseCosts& given, bool flips, bool negate, Pacer& pacer) {
        rows_ = flips ? given.columns : given.rows;
        columns_ = flips ? given.rows : given.columns;
        entries_.resize(static_cast<std::size_t>(given.entries));
        begin_.assign(static_cast<std::size_t>(rows_) + 1, 0);
        end_.assign(static_cast<std::size_t>(rows_) + 1, 0);
        forbidden_ = false;
        const bool as_stored = given.by_columns == flips;
        const Outcome outcome = given.wide ? copy<std::int64_t>(given, as_stored, negate, pacer)
                                           : copy<std::int32_t>(given, as_stored, negate, pacer);
        if (forbidden_) drop_forbidden();
        return outcome;
    }

    // Takes a dense problem whose columns lie side by side, and whose costs have been checked: the pairs that cost less
    // than the limit.
    template <class U>
    bool take_dense(const MatrixView<U>& given, bool negate, T limit, Pacer& pacer) {
        rows_ = given.rows;
        columns_ = given.columns;
        entries_.resize(static_cast<std::size_t>(rows_ * columns_));
        begin_.resize(static_cast<std::size_t>(rows_) + 1);
        end_.resize(begin_.size());
        std::int64_t e = 0;
        for (std::int64_t i = 0; i < rows_; ++i) {
            begin_[static_cast<std::size_t>(i)] = e;
            for (std::int64_t j = 0; j < columns_; ++j) {
                const auto value = static_cast<T>(given.data[i * given.row_stride + j]), cost = negate ? -value : value;
                entries_[static_cast<std::size_t>(e)] = {cost, static_cast<std::int32_t>(j)};
                // There is no branch, as none could be predicted; there is room for an entry that is not kept.
                e += cost < limit;
            }
            end_[static_cast<std::size_t>(i)] = e;
            if (!pacer.proceed(columns_)) return false;
        }
        return true;
    }

    // Takes some rows and columns of another problem, ascending, as a problem of their own; transposed if asked.
    void take_part(const Rows& whole, const Lines& rows, const Lines& columns, bool flips) {
        const Lines &lines = flips ? columns : rows, &others = flips ? rows : columns;
        rows_ = static_cast<std::int64_t>(lines.size());
        columns_ = static_cast<std::int64_t>(others.size());
        place_.assign(static_cast<std::size_t>(whole.columns()), -1);
        for (std::size_t j = 0; j < columns.size(); ++j)
            place_[static_cast<std::size_t>(columns[j])] = static_cast<std::int32_t>(j);
        const auto each = [&](auto&& body) {
            for (std::size_t i = 0; i < rows.size(); ++i)
                for (std::int64_t e = whole.begin(rows[i]); e < whole.end(rows[i]); ++e)
                    if (const std::int32_t j = place_[static_cast<std::size_t>(whole[e].column)]; j >= 0)
                        body(flips ? j : static_cast<std::int32_t>(i), flips ? static_cast<std::int32_t>(i) : j,
                             whole[e].cost);
        };
        begin_.assign(lines.size() + 1, 0);
        each([&](std::int32_t i, std::int32_t, T) { ++begin_[static_cast<std::size_t>(i) + 1]; });
        for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
        end_ = begin_;
        entries_.resize(static_cast<std::size_t>(begin_.back()));
        each([&](std::int32_t i, std::int32_t j, T cost) {
            entries_[static_cast<std::size_t>(end_[static_cast<std::size_t>(i)]++)] = {cost, j};
        });
    }

    // Takes another problem's entries in double precision, times a power of two.
    template <class Other>
    void take_wide(const Rows<Other>& other, T scale) {
        rows_ = other.rows_;
        columns_ = other.columns_;
        begin_ = other.begin_;
        end_ = other.end_;
        entries_.resize(other.entries_.size());
        std::transform(other.entries_.begin(), other.entries_.end(), entries_.begin(),
                       [&](const Entry<Other>& e) { return Entry<T>{scale * static_cast<T>(e.cost), e.column}; });
    }

    // The largest magnitude of a cost.
    T largest() const {
        T most = 0;
        for (std::int64_t i = 0; i < rows_; ++i)
            for (std::int64_t e = begin(i); e < end(i); ++e) most = std::max(most, std::abs((*this)[e].cost));
        return most;
    }

    std::int64_t rows() const { return rows_; }
    std::int64_t columns() const { return columns_; }
    std::int64_t entries() const {
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < rows_; ++i) count += end(i) - begin(i);
        return count;
    }
    std::int64_t begin(std::int64_t i) const { return begin_[static_cast<std::size_t>(i)]; }
    std::int64_t end(std::int64_t i) const { return end_[static_cast<std::size_t>(i)]; }
    const Entry<T>& operator[](std::int64_t e) const { return entries_[static_cast<std::size_t>(e)]; }
    const Entry<T>* data() const { return entries_.data(); }

   private:
    template <class Other>
    friend class Rows;

    template <class I>
    Outcome copy(const SparseCosts& given, bool as_stored, bool negate, Pacer& pacer) {
        const auto* starts = static_cast<const I*>(given.starts);
        const auto* indices = static_cast<const I*>(given.indices);
        const auto* values = static_cast<const T*>(given.values);
        const std::int64_t lines = as_stored ? rows_ : columns_;
        if (as_stored) {
            latest_.assign(static_cast<std::size_t>(columns_), -1);
        } else {
            for (std::int64_t e = 0; e < given.entries; ++e) ++begin_[static_cast<std::size_t>(indices[e]) + 1];
            for (std::size_t i = 1; i < begin_.size(); ++i) begin_[i] += begin_[i - 1];
            end_ = begin_;
        }
        for (std::int64_t line = 0; line < lines; ++line) {
            const std::int64_t first = starts[line], last = starts[line + 1];
            if (as_stored) begin_[static_cast<std::size_t>(line)] = end_[static_cast<std::size_t>(line)] = first;
            for (std::int64_t e = first; e < last; ++e) {
                const std::int64_t index = indices[e];
                const std::int64_t i = as_stored ? line : index, j = as_stored ? index : line;
                const Outcome bad = add(i, j, negate ? -values[e] : values[e], as_stored);
                if (bad.status != Status::ok) return bad;
            }
            if (!pacer.proceed(last - first + 1)) return {Status::ok, 0, 0, true};
        }
        return {};
    }

    Outcome add(std::int64_t i, std::int64_t j, T cost, bool as_stored) {
        std::int64_t& end = end_[static_cast<std::size_t>(i)];
        const std::int64_t begin = begin_[static_cast<std::size_t>(i)];
        // After transposing, the entries of one pair come one after the other.
        std::int64_t same = as_stored ? latest_[static_cast<std::size_t>(j)] : end - 1;
        if (same < begin || entries_[static_cast<std::size_t>(same)].column != j) {
            same = end++;
            entries_[static_cast<std::size_t>(same)] = {T(0), static_cast<std::int32_t>(j)};
            if (as_stored) latest_[static_cast<std::size_t>(j)] = same;
        }
        T& sum = entries_[static_cast<std::size_t>(same)].cost;
        sum += cost;
        if (sum != sum) return {Status::nan, i, j, false};
        if (sum == -kInfinity) return {Status::invalid, i, j, false};
        forbidden_ |= sum == kInfinity;
        return {};
    }

    void drop_forbidden() {
        for (std::int64_t i = 0; i < rows_; ++i) {
            std::int64_t kept = begin(i);
            for (std::int64_t e = begin(i); e < end(i); ++e)
                if ((*this)[e].cost < kInfinity) entries_[static_cast<std::size_t>(kept++)] = (*this)[e];
            end_[static_cast<std::size_t>(i)] = kept;
        }
    }

    static constexpr T kInfinity = std::numeric_limits<T>::infinity();

    std::int64_t rows_ = 0, columns_ = 0;
    std::vector<Entry<T>> entries_;
    std::vector<std::int64_t> begin_, end_, latest_;
    std::vector<std::int32_t> place_;
    bool forbidden_ = false;
};

}  // namespace coalign::assignment
