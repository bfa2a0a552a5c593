// The solver for problems whose columns fit a few vectors. Prices, distances and marks stay in registers, or close by
// if there are more of them; sets of columns are bits; a step of a search reads one row from the cache. Up to 32
// columns, and in rectangles, only stages that read no row twice come before the shortest augmenting paths: with so few
// rows no other stage repays its passes. Larger squares have Jonker and Volgenant's stages.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>

#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"

namespace coalign::COALIGN_SET {

template <class T, bool kNegate, int kVectors>
class Tiny {
   public:
    static constexpr int kRoom = kVectors * kWidth<T>;
    // The largest squares that lanes solve (lane_group.hpp), by the same steps.
    static constexpr std::int64_t kMostLanes = 32;
    static_assert(kRoom <= 64);

    Tiny(const assignment::Problem<T>& problem, const assignment::Solution<T>& solution, assignment::Scans& scans)
        : p_(problem), out_(solution), scans_(scans) {}

    // There are at most as many rows as columns, and at most kRoom columns.
    assignment::Outcome solve() {
        free_ = all();
        for (std::int64_t i = 0; i < p_.rows; ++i) out_.col_of_row[i] = -1;
        for (Vec<T>& v : v_) v = Vec<T>{};
        const bool is_square = p_.rows == p_.columns, is_large = is_square && p_.columns > kMostLanes;
        is_flat_ = is_large && are_rows_flat<T, kNegate>(p_);
        const bool by_columns = is_square && !is_flat_;
        const assignment::Outcome bad = by_columns ? reduce_columns() : take_tight_columns();
        if (bad.status != Status::ok) return bad;
        if (is_large) {
            if (by_columns) transfer_reductions();
            reduce_rows();
        }
        for (std::int64_t i = 0; i < p_.rows; ++i)
            if (out_.col_of_row[i] < 0 && !augment(i)) return {Status::infeasible, i, 0, false};
        T v[kRoom];
        // Never -0, whose sign would show in which order minima were taken.
        for (int n = 0; n < kVectors; ++n) store(v + n * kWidth<T>, v_[n] + Vec<T>{});
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            out_.col_dual[j] = v[j];
            out_.row_of_col[j] = (free_ >> j & 1) != 0 ? -1 : row_of_col_[j];
        }
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            out_.row_dual[i] = at(i, j) - v[j];
        }
        return {};
    }

   private:
    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }
    T at(std::int64_t i, std::int64_t j) const { return kNegate ? -row(i)[j] : row(i)[j]; }
    Vec<T> costs(std::int64_t i, int n) const {
        const std::int64_t left = p_.columns - n * kWidth<T>;
        // The last vectors may lie wholly past a row's columns.
        return costs_at<T, kNegate>(row(i) + (left > 0 ? n * kWidth<T> : 0), 0, left > 0 ? left : 0);
    }
    T price(std::int64_t j) const { return v_[j / kWidth<T>][j % kWidth<T>]; }
    std::uint64_t all() const { return p_.columns == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << p_.columns) - 1; }
    static std::uint64_t joined(const IntVec<T> (&masks)[kVectors]) {
        std::uint64_t set = 0;
        for (int n = 0; n < kVectors; ++n) set |= static_cast<std::uint64_t>(bits(masks[n])) << (n * kWidth<T>);
        return set;
    }
    void match(std::int64_t i, std::int64_t j) {
        out_.col_of_row[i] = j;
        row_of_col_[j] = i;
        free_ &= ~(std::uint64_t{1} << j);
    }

    assignment::Outcome refuse(std::int64_t i) const { return first_bad<T, kNegate>(row(i), p_.columns, i); }

    // Every row takes the column of its least cost if that column is free.
    assignment::Outcome take_tight_columns() {
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            IntVec<T> bad{}, nearest[kVectors];
            Vec<T> c[kVectors], least = infinity<T>();
            for (int n = 0; n < kVectors; ++n) {
                c[n] = costs(i, n);
                bad |= ~(c[n] > -infinity<T>());
                least = minimum(least, c[n]);
            }
            if (any(bad)) return refuse(i);
            least = least_lane<T>(least);
            for (int n = 0; n < kVectors; ++n) nearest[n] = c[n] == least;
            const std::uint64_t near = joined(nearest) & free_;
            if (least[0] < kInfinity<T> && near != 0) match(i, std::countr_zero(near));
        }
        return {};
    }

    // The columns of a flat row that do not have its common cost, as in flat.hpp; all of them if they are many.
    std::uint64_t list(std::int64_t i) {
        common_[i] = at(i, p_.columns / 2);
        IntVec<T> same[kVectors];
        for (int n = 0; n < kVectors; ++n) same[n] = costs(i, n) == splat(common_[i]);
        const std::uint64_t others = ~joined(same) & all();
        return std::popcount(others) > kFew || !(common_[i] < kInfinity<T>) ? all() : others;
    }
    static constexpr int kFew = 8;

    // The two least reduced costs of a flat row, if a free column beside its list tells of all that are not listed.
    bool bid_by_list(std::int64_t i, TwoMinima<T>& found) {
        if ((listed_ >> i & 1) == 0) others_[i] = list(i);
        listed_ |= std::uint64_t{1} << i;
        const std::uint64_t beside = free_ & ~others_[i];
        if (beside == 0) return false;
        const T common = common_[i];
        T least = kInfinity<T>, second = kInfinity<T>;
        int column = 0;
        for (std::uint64_t set = others_[i]; set != 0; set &= set - 1) {
            const int j = std::countr_zero(set);
            const T x = at(i, j) - price(j);
            const bool less = x < least;
            const T rest = less ? least : x;
            second = rest < second ? rest : second;
            column = less ? j : column;
            least = less ? x : least;
        }
        found = least < common ? TwoMinima<T>{least, second < common ? second : common, column}
                               : TwoMinima<T>{common, common, std::countr_zero(beside)};
        return true;
    }

    // Every column's price becomes its least cost; the row with that cost takes the column if the row is free.
    assignment::Outcome reduce_columns() {
        IntVec<T> least_row[kVectors]{};
        for (Vec<T>& v : v_) v = infinity<T>();
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            IntVec<T> bad{};
            for (int n = 0; n < kVectors; ++n) {
                const Vec<T> c = costs(i, n);
                bad |= ~(c > -infinity<T>());
                least_row[n] = c < v_[n] ? IntVec<T>{} + static_cast<Index<T>>(i) : least_row[n];
                v_[n] = minimum(v_[n], c);
            }
            if (any(bad)) return refuse(i);
        }
        IntVec<T> priced[kVectors];
        for (int n = 0; n < kVectors; ++n) {
            priced[n] = v_[n] < infinity<T>();
            v_[n] = select(priced[n], v_[n], Vec<T>{});
        }
        Index<T> rows[kRoom];
        for (int n = 0; n < kVectors; ++n) __builtin_memcpy(rows + n * kWidth<T>, &least_row[n], kVectorBytes);
        for (std::uint64_t left = joined(priced) & free_; left != 0; left &= left - 1) {
            const int j = std::countr_zero(left);
            if (out_.col_of_row[rows[j]] < 0) match(rows[j], j);
            else shared_ |= std::uint64_t{1} << rows[j];
        }
        return {};
    }

    TwoMinima<T> bid(std::int64_t i) {
        if (TwoMinima<T> found; is_flat_ && bid_by_list(i, found)) return found;
        ++scans_.bids;
        Minima<T> minima;
        for (int n = 0; n < kVectors; ++n) minima.take(costs(i, n) - v_[n]);
        return minima.found(false);
    }
    // In a vector: one store would stall the loads of the next bid. A list loads no vector.
    void lower(std::int64_t j, T slack) {
        if (is_flat_) {
            v_[j / kWidth<T>][j % kWidth<T>] -= slack;
            return;
        }
        for (int n = 0; n < kVectors; ++n) {
            const IntVec<T> here =
                first_indices<T>() + static_cast<Index<T>>(n * kWidth<T>) == static_cast<Index<T>>(j);
            v_[n] = select(here, v_[n] - splat(slack), v_[n]);
        }
    }

    // A row that has the least cost of one column alone lowers its price to its second best. That repays the passes
    // only if some rows are left.
    void transfer_reductions() {
        if (16 * std::popcount(free_) <= p_.rows) return;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            if (j < 0 || (shared_ >> i & 1) != 0) continue;
            const TwoMinima<T> found = bid(i);
            const T slack = found.second - found.least;
            if (found.column == j && slack > 0 && slack < kInfinity<T>) lower(j, slack);
        }
    }

    // Augmenting row reduction, as in dense.hpp, but once: a second time gains nothing here.
    void reduce_rows() {
        constexpr std::int64_t bids_per_row = 4;
        std::int64_t queue[kRoom], count = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i)
            if (out_.col_of_row[i] < 0) queue[count++] = i;
        std::int64_t budget = bids_per_row * count;
        for (std::int64_t q = 0; q < count;) {
            const std::int64_t i = queue[q];
            const TwoMinima<T> found = bid(i);
            ++q;
            if (!(found.least < kInfinity<T>)) continue;
            std::int64_t j = found.column;
            const T slack = found.second - found.least, price = this->price(j);
            const bool lowers = slack < kInfinity<T> && price - slack < price;
            bool takes = (free_ >> j & 1) == 0;
            if (!lowers && takes) {
                const std::uint64_t near = tight(i, found.least) & free_;
                takes = near == 0;
                j = takes ? j : std::countr_zero(near);
            }
            const std::int64_t former = row_of_col_[j];
            if (lowers) lower(j, slack);
            match(i, j);
            if (!takes) continue;
            out_.col_of_row[former] = -1;
            if (lowers && budget-- > 0) queue[--q] = former;
        }
    }

    // The columns whose reduced cost is `value`.
    std::uint64_t tight(std::int64_t i, T value) const {
        IntVec<T> equal[kVectors];
        for (int n = 0; n < kVectors; ++n) equal[n] = costs(i, n) - v_[n] == splat(value);
        return joined(equal);
    }

    // Runs Dijkstra's algorithm from a free row; false when no free column can be reached.
    bool augment(std::int64_t first) {
        // Of each column: its distance, or infinity once it is scanned; its price, or -infinity then; and the row by
        // which it is reached.
        Vec<T> d[kVectors], w[kVectors];
        IntVec<T> before[kVectors];
        // The columns that are scanned, and their distances.
        int scanned[kRoom], count = 0;
        T reached[kRoom];
        ++scans_.paths;
        Vec<T> least = infinity<T>();
        for (int n = 0; n < kVectors; ++n) {
            w[n] = v_[n];
            d[n] = costs(first, n) - w[n];
            before[n] = IntVec<T>{} + static_cast<Index<T>>(first);
            least = minimum(least, d[n]);
        }
        int sink;
        while (true) {
            least = least_lane<T>(least);
            if (!(least[0] < kInfinity<T>)) return false;
            IntVec<T> nearest[kVectors];
            for (int n = 0; n < kVectors; ++n) nearest[n] = d[n] == least;
            const std::uint64_t near = joined(nearest);
            // Among equally near columns a free one comes first.
            if ((near & free_) != 0) {
                sink = std::countr_zero(near & free_);
                break;
            }
            const int j = std::countr_zero(near);
            const std::int64_t i = row_of_col_[j];
            ++scans_.paths;
            scanned[count] = j;
            reached[count++] = least[0];
            const Vec<T> offset = splat(at(i, j) - price(j) - least[0]), now = least;
            least = infinity<T>();
            for (int n = 0; n < kVectors; ++n) {
                const auto here = first_indices<T>() + static_cast<Index<T>>(n * kWidth<T>) == static_cast<Index<T>>(j);
                w[n] = select(here, -infinity<T>(), w[n]);
                d[n] = select(here, infinity<T>(), d[n]);
                const Vec<T> x = maximum(costs(i, n) - w[n] - offset, now);
                before[n] = x < d[n] ? IntVec<T>{} + static_cast<Index<T>>(i) : before[n];
                d[n] = minimum(d[n], x);
                least = minimum(least, d[n]);
            }
        }
        if (count == 0) {
            match(first, sink);
            return true;
        }
        Index<T> rows[kRoom];
        T v[kRoom];
        for (int n = 0; n < kVectors; ++n) {
            store(v + n * kWidth<T>, v_[n]);
            __builtin_memcpy(rows + n * kWidth<T>, &before[n], kVectorBytes);
        }
        for (int k = 0; k < count; ++k) v[scanned[k]] += reached[k] - least[0];
        for (int n = 0; n < kVectors; ++n) v_[n] = load(v + n * kWidth<T>);
        for (std::int64_t j = sink;;) {
            const std::int64_t i = rows[j], next = out_.col_of_row[i];
            match(i, j);
            if (i == first) return true;
            j = next;
        }
    }

    const assignment::Problem<T>& p_;
    const assignment::Solution<T>& out_;
    assignment::Scans& scans_;
    Vec<T> v_[kVectors];
    std::int64_t row_of_col_[kRoom];
    // Columns that are free, and rows with the least cost of several columns.
    std::uint64_t free_ = 0, shared_ = 0;
    // Of each flat row that has bid: its common cost, and the columns that do not have it. Then these rows.
    T common_[kRoom];
    std::uint64_t others_[kRoom], listed_ = 0;
    bool is_flat_ = false;
};

}  // namespace coalign::COALIGN_SET
