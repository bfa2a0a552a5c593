// The solver for many problems of one small shape: one in each lane, each at its own step of its own search. What a
// search waits for in one problem, the others' work fills.
//
// Every step and its order are Tiny's, so that a problem's answer has the same bits whichever of the two solves it.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate>
class LaneGroup {
   public:
    // Rows and columns are no more than lanes.
    static constexpr int kLanes = kWidth<T>;

    LaneGroup(const assignment::Group<T>& group, assignment::Scans& scans) : p_(group), scans_(scans) {}

    // Rows are no more than columns. False where a cost is NaN or -inf, or problems lie too far apart.
    bool solve() {
        if (!locate() || !check()) return false;
        for (int lane = 0; lane < kLanes; ++lane) p_.outcomes[lane] = {};
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            at_column_[j] = Column{};
            at_column_[j].row = IntVec<T>{} - 1;
        }
        for (std::int64_t i = 0; i < p_.rows; ++i) col_of_row_[i] = IntVec<T>{} - 1;
        unmatched_ = IntVec<T>{} + static_cast<Index<T>>((std::int64_t{1} << p_.rows) - 1);
        if (p_.rows == p_.columns) reduce_columns();
        start();
        while (any(alive_)) {
            scans_.paths += std::popcount(bits(alive_));
            reach();
            step();
        }
        for (std::int64_t j = 0; j < p_.columns; ++j) at_column_[j].v = price(at_column_[j]);
        for (int lane = 0; lane < kLanes; ++lane) write(lane);
        return true;
    }

   private:
    // Of each problem's column: its price; the same, or -inf once it is settled; 0 if it is free, else infinity; its
    // distance, and that at which it was settled; the cost of its pair, with which row; and the row before it.
    struct Column {
        Vec<T> v, w, taken, d, reached, pair;
        IntVec<T> row, before;
    };

    bool locate() {
        // Room for the lanes' offsets, and for those within a problem.
        constexpr std::int64_t most = std::int64_t{1} << 29;
        const std::int64_t reach = p_.rows * magnitude(p_.row_stride) + p_.columns * magnitude(p_.column_stride);
        for (int lane = 0; lane < kLanes; ++lane) {
            const std::int64_t offset = p_.cost[lane] - p_.cost[0];
            if (magnitude(offset) > most || reach > most) return false;
            problem_[lane] = static_cast<Index<T>>(offset);
        }
        return true;
    }
    static std::int64_t magnitude(std::int64_t x) { return x < 0 ? -x : x; }

    bool check() const {
        // Along whichever axis lies side by side.
        const bool by_rows = p_.column_stride == 1;
        const std::int64_t lines = by_rows ? p_.rows : p_.columns, length = by_rows ? p_.columns : p_.rows;
        const std::int64_t stride = by_rows ? p_.row_stride : p_.column_stride;
        IntVec<T> bad{};
        for (int lane = 0; lane < kLanes; ++lane)
            for (std::int64_t n = 0; n < lines; ++n)
                for_each_vector<T, kNegate>(p_.cost[lane] + n * stride, length,
                                            [&](std::int64_t, Vec<T> c)
                                                __attribute__((always_inline)) { bad |= ~(c > -infinity<T>()); });
        return !any(bad);
    }

    Vec<T> costs(IntVec<T> row, std::int64_t j) const {
        const Vec<T> c = gather(p_.cost[0], row + static_cast<Index<T>>(j * p_.column_stride));
        return kNegate ? -c : c;
    }
    IntVec<T> start_of(std::int64_t i) const { return problem_ + static_cast<Index<T>>(i * p_.row_stride); }
    T at(int lane, std::int64_t i, std::int64_t j) const {
        const T c = p_.cost[lane][i * p_.row_stride + j * p_.column_stride];
        return kNegate ? -c : c;
    }

    // Every column's price is its least cost, and it goes to the row that has it, if that is free.
    void reduce_columns() {
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            Vec<T> least = infinity<T>();
            IntVec<T> row{};
            for (std::int64_t i = 0; i < p_.rows; ++i) {
                const Vec<T> c = costs(start_of(i), j);
                row = c < least ? IntVec<T>{} + static_cast<Index<T>>(i) : row;
                least = minimum(least, c);
            }
            Column& column = at_column_[j];
            const IntVec<T> priced = least < infinity<T>();
            column.v = column.w = select(priced, least, Vec<T>{});
            const IntVec<T> bit = (IntVec<T>{} + 1) << row;
            const IntVec<T> gets = priced & ((unmatched_ & bit) != 0);
            column.row = gets ? row : column.row;
            column.taken = select(gets, infinity<T>(), column.taken);
            column.pair = least;
            unmatched_ &= ~(gets & bit);
            for (std::int64_t i = 0; i < p_.rows; ++i) {
                const IntVec<T> here = gets & (row == static_cast<Index<T>>(i));
                col_of_row_[i] = here ? IntVec<T>{} + static_cast<Index<T>>(j) : col_of_row_[i];
            }
        }
    }

    // Every lane's search starts at its first row without a pair; without one the lane is done.
    void start() {
        alive_ = unmatched_ != 0;
        ended_ = IntVec<T>{} - 1;
        settled_ = IntVec<T>{} - 1;
        row_ = first_ = first_bit(unmatched_);
        offset_ = end_ = Vec<T>{};
        reached_ = -infinity<T>();
    }

    // The number of the lowest bit, by the exponent of its value; 0 of no bits.
    static IntVec<T> first_bit(IntVec<T> set) {
        const Vec<T> lowest = __builtin_convertvector(set & -set, Vec<T>);
        constexpr int mantissa = std::numeric_limits<T>::digits - 1;
        constexpr Index<T> bias = std::numeric_limits<T>::max_exponent - 1;
        const IntVec<T> bit = (reinterpret_cast<IntVec<T>>(lowest) >> mantissa) - bias;
        return set != 0 ? bit : IntVec<T>{};
    }

    // A column's price, once the search that ended with the last step has lowered it.
    Vec<T> price(const Column& column) const {
        const IntVec<T> lowered = ended_ & (column.w == -infinity<T>());
        return select(lowered, column.v + (column.reached - end_), column.v);
    }

    // From every lane's row to all columns, and the nearest of them, free or not; with what the last step left to do.
    void reach() {
        Nearest near{infinity<T>(), infinity<T>(), Vec<T>{}, {}, {}, {}, {}};
        const IntVec<T> start = problem_ + row_ * static_cast<Index<T>>(p_.row_stride);
        IntVec<T> number{};
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            Column& column = at_column_[j];
            const IntVec<T> settles = settled_ == number;
            const Vec<T> v = price(column);
            const Vec<T> w = select(ended_, v, select(settles, -infinity<T>(), column.w));
            const Vec<T> former = select(ended_ | settles, infinity<T>(), column.d);
            column.v = v;
            column.w = w;
            column.reached = select(settles, reached_, column.reached);
            const Vec<T> x = maximum(costs(start, j) - w - offset_, reached_);
            const IntVec<T> nearer = x < former;
            const Vec<T> d = select(nearer, x, former), if_free = d + column.taken;
            const IntVec<T> before = nearer ? row_ : column.before;
            column.d = d;
            column.before = before;
            const IntVec<T> less = d < near.distance, less_free = if_free < near.free_distance;
            near.column = less ? number : near.column;
            near.row = less ? column.row : near.row;
            near.dual = select(less, column.pair - w, near.dual);
            near.distance = minimum(near.distance, d);
            near.free_column = less_free ? number : near.free_column;
            near.before_free = less_free ? before : near.before_free;
            near.free_distance = minimum(near.free_distance, if_free);
            number += 1;
        }
        near_ = near;
    }

    void step() {
        const IntVec<T> found = near_.distance < infinity<T>();
        const IntVec<T> failed = alive_ & ~found, ends = alive_ & found & (near_.free_distance == near_.distance);
        const IntVec<T> goes_on = alive_ & found & ~ends;
        if (any(failed)) [[unlikely]] {
            for (int lane = 0; lane < kLanes; ++lane)
                if (failed[lane] != 0) p_.outcomes[lane] = {Status::infeasible, first_[lane], 0, false};
        }
        if (any(ends)) flip(ends);
        unmatched_ &= ~(ends & ((IntVec<T>{} + 1) << first_));
        alive_ &= found & (unmatched_ != 0);
        first_ = ends ? first_bit(unmatched_) : first_;
        row_ = ends ? first_ : goes_on ? near_.row : row_;
        offset_ = select(ends, Vec<T>{}, near_.dual - near_.distance);
        reached_ = select(ends, -infinity<T>(), near_.distance);
        settled_ = goes_on ? near_.column : IntVec<T>{} - 1;
        end_ = near_.distance;
        ended_ = ends;
    }

    // Every pair along the paths that end changes places with the next.
    void flip(IntVec<T> active) {
        IntVec<T> j = near_.free_column, i = near_.before_free;
        while (true) {
            const Vec<T> cost = gather(p_.cost[0], problem_ + i * static_cast<Index<T>>(p_.row_stride) +
                                                       j * static_cast<Index<T>>(p_.column_stride));
            const Vec<T> pair = kNegate ? -cost : cost;
            IntVec<T> next{}, number{};
            for (std::int64_t r = 0; r < p_.rows; ++r) {
                const IntVec<T> here = active & (i == number), column = col_of_row_[r];
                next = here ? column : next;
                col_of_row_[r] = here ? j : column;
                number += 1;
            }
            number = IntVec<T>{};
            IntVec<T> before{};
            for (std::int64_t k = 0; k < p_.columns; ++k) {
                Column& column = at_column_[k];
                const IntVec<T> here = active & (j == number);
                column.row = here ? i : column.row;
                column.pair = select(here, pair, column.pair);
                column.taken = select(here, infinity<T>(), column.taken);
                before = next == number ? column.before : before;
                number += 1;
            }
            active &= i != first_;
            if (!any(active)) return;
            j = active ? next : j;
            i = active ? before : i;
        }
    }

    void write(int lane) const {
        if (p_.outcomes[lane].status != Status::ok) return;
        const assignment::Solution<T>& out = p_.solutions[lane];
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            // No -0, whose sign would tell in which order minima were taken.
            out.col_dual[j] = at_column_[j].v[lane] + T(0);
            out.row_of_col[j] = at_column_[j].row[lane];
        }
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = col_of_row_[i][lane];
            out.col_of_row[i] = j;
            out.row_dual[i] = at(lane, i, j) - out.col_dual[j];
        }
    }

    struct Nearest {
        Vec<T> distance, free_distance, dual;
        IntVec<T> column, row, free_column, before_free;
    };

    const assignment::Group<T>& p_;
    assignment::Scans& scans_;
    Column at_column_[kLanes];
    IntVec<T> col_of_row_[kLanes];
    // Where the lanes' problems are; rows without a pair as bits; the row that the search is from and the one it is at,
    // what that one takes off its costs, and how far the search is; the column that was just settled; whether a search
    // has just ended, and how far.
    IntVec<T> problem_, unmatched_, alive_, first_, row_, settled_, ended_;
    Vec<T> offset_, reached_, end_;
    Nearest near_;
};

}  // namespace coalign::COALIGN_SET
