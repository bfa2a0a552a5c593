// As many pairs as possible, at the least cost. A large limit cannot stand for infinity, since small costs would be
// lost beside it. Scarce rows have pairs with scarce columns only, and no largest matching pairs these columns with
// other rows. So each part is a problem of its own: in one all columns are matched, in the other all rows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "assignment/assignment.hpp"
#include "assignment/cover.hpp"
#include "assignment/rows.hpp"

namespace coalign::assignment {

template <class T>
class Largest {
   public:
    // The solution of a part whose rows are all matched: the column of each, the cost of the pair, and the columns'
    // prices.
    struct Solved {
        std::vector<std::int64_t> column;
        std::vector<T> cost, price;
    };

    // Some rows and columns. `flips` says that they have changed places.
    struct Part {
        const Lines &rows, &columns;
        bool is_whole, flips;
    };

    // The pairs that the problem allows; they are not read if it forbids none.
    Rows<T>& rows() { return rows_; }
    // What the duals are relative to.
    T limit() const { return limit_; }

    // solve(part, solved) solves a part of the problem. The duals are those of `limit`; if it is infinite, those of the
    // least limit that asks for as many pairs. The status is precision_limit if a limit asks for fewer. False when the
    // call is to stop.
    template <class Solve>
    bool solve(std::int64_t rows, std::int64_t columns, bool is_full, bool maximize, T limit, Pacer& pacer,
               Result<T>& result, Solve&& solve) {
        sign_ = maximize ? T(-1) : T(1);
        is_full_ = is_full;
        drop_pairs(rows, columns, result);
        for (Lines* lines : {&scarce_rows_, &scarce_columns_, &other_rows_, &other_columns_}) lines->clear();
        if (is_full) {
            Lines& all_rows = rows > columns ? scarce_rows_ : other_rows_;
            Lines& all_columns = rows > columns ? scarce_columns_ : other_columns_;
            all_rows.resize(static_cast<std::size_t>(rows));
            all_columns.resize(static_cast<std::size_t>(columns));
            std::iota(all_rows.begin(), all_rows.end(), 0);
            std::iota(all_columns.begin(), all_columns.end(), 0);
        } else {
            if (!cover_.find(rows_, pacer)) return false;
            for (std::int32_t i = 0; i < rows; ++i) (cover_.is_scarce_row(i) ? scarce_rows_ : other_rows_).push_back(i);
            for (std::int32_t j = 0; j < columns; ++j)
                (cover_.is_scarce_column(j) ? scarce_columns_ : other_columns_).push_back(j);
        }
        u_.assign(static_cast<std::size_t>(rows), 0);
        v_.assign(static_cast<std::size_t>(columns), 0);
        cost_.assign(u_.size(), 0);
        if (solve_part(false, result, solve) && solve_part(true, result, solve)) {
            write(limit, result);
        } else if (!result.outcome.stopped) {
            drop_pairs(rows, columns, result);
            std::fill_n(result.row_dual, rows, T(0));
            std::fill_n(result.col_dual, columns, T(0));
        }
        return !result.outcome.stopped;
    }

   private:
    template <class Vector>
    static auto& at(Vector& values, std::int64_t k) {
        return values[static_cast<std::size_t>(k)];
    }

    static void drop_pairs(std::int64_t rows, std::int64_t columns, Result<T>& result) {
        *result.total = 0;
        std::fill_n(result.col_of_row, rows, -1);
        std::fill_n(result.row_of_col, columns, -1);
    }

    // Shifts the prices of the side that is not matched whole to 0 or less.
    template <class Solve>
    bool solve_part(bool scarce, Result<T>& result, Solve&& solve) {
        const Lines &rows = scarce ? scarce_rows_ : other_rows_, &columns = scarce ? scarce_columns_ : other_columns_;
        const Lines &lines = scarce ? columns : rows, &others = scarce ? rows : columns;
        if (lines.empty()) return true;
        const bool is_whole = rows.size() == u_.size() && columns.size() == v_.size();
        solved_.column.resize(lines.size());
        solved_.cost.resize(lines.size());
        solved_.price.resize(others.size());
        const Outcome outcome = solve(Part{rows, columns, is_whole, scarce}, solved_);
        result.outcome.stopped = outcome.stopped;
        // If one part could not be proved, neither could the whole. There is a matching: if none is found, differences
        // of costs near the largest number were infinite.
        if (outcome.status != Status::ok) result.outcome.status = Status::precision_limit;
        if (outcome.stopped || !is_answered(outcome.status)) return false;
        std::vector<T>&u = scarce ? v_ : u_, &v = scarce ? u_ : v_;
        T shift = 0;
        for (const T price : solved_.price) shift = std::max(shift, price);
        for (std::size_t j = 0; j < others.size(); ++j) at(v, others[j]) = solved_.price[j] - shift;
        for (std::size_t i = 0; i < lines.size(); ++i) {
            const std::int32_t line = lines[i], other = at(others, solved_.column[i]);
            const std::int32_t row = scarce ? other : line, column = scarce ? line : other;
            at(u, line) = solved_.cost[i] - at(v, other);
            at(cost_, row) = solved_.cost[i];
            result.col_of_row[row] = column;
            result.row_of_col[column] = row;
        }
        return true;
    }

    // The duals of the scarce part carry a limit. It has to be as large as any row's dual, and must make the pairs of
    // other rows with scarce columns expensive enough.
    void write(T given, Result<T>& result) {
        T limit = 0;
        for (const std::int32_t j : scarce_columns_) limit = std::max(limit, at(v_, j));
        for (const std::int32_t i : other_rows_) {
            limit = std::max(limit, at(u_, i));
            if (is_full_) continue;
            for (std::int64_t e = rows_.begin(i); e < rows_.end(i); ++e)
                if (const std::int32_t j = rows_[e].column; cover_.is_scarce_column(j))
                    limit = std::max(limit, at(u_, i) + at(v_, j) - rows_[e].cost);
        }
        if (given < limit) result.outcome.status = Status::precision_limit;
        else if (given < std::numeric_limits<T>::infinity()) limit = given;
        limit_ = limit;
        for (const std::int32_t j : scarce_columns_) at(v_, j) -= limit;
        for (std::size_t j = 0; j < v_.size(); ++j) result.col_dual[j] = sign_ * v_[j] + T(0);
        for (std::size_t i = 0; i < u_.size(); ++i) {
            const std::int64_t j = result.col_of_row[i];
            const T u = j < 0 ? limit : std::min(cost_[i] - at(v_, j), limit);
            result.row_dual[i] = sign_ * u + T(0);
            if (j >= 0) *result.total += static_cast<double>(sign_ * cost_[i]);
        }
    }

    T sign_ = 1, limit_ = 0;
    bool is_full_ = false;
    Rows<T> rows_;
    Cover cover_;
    Lines scarce_rows_, scarce_columns_, other_rows_, other_columns_;
    Solved solved_;
    // Duals, and what each row's pair costs.
    std::vector<T> u_, v_, cost_;
};

}  // namespace coalign::assignment
