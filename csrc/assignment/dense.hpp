// The dense solver: Jonker and Volgenant's shortest augmenting paths. Where a first look shows that the paths would be
// long, Bertsekas's scaled prices come before them.
//
// Throughout, v_j are the columns' duals, and a row's dual is the least of c_ij - v_j. A matched pair reaches that
// least (in a warm start: up to rounding). If there are more columns than rows, or a limit, then v_j <= 0, and v_j = 0
// for a free column: only the price of a matched column is ever lowered, and a matched column stays matched.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "assignment/candidates.hpp"
#include "assignment/kernels.hpp"
#include "assignment/scans.hpp"
#include "assignment/search.hpp"

namespace coalign::COALIGN_SET {

using assignment::Outcome;
using assignment::Problem;
using assignment::Proof;
using assignment::Scans;
using assignment::Solution;
using assignment::Start;

template <class T, bool kNegate>
class Dense {
   public:
    Dense(const Problem<T>& problem, const Solution<T>& solution, T* workspace, Pacer& pacer, Scans& scans)
        : p_(problem),
          out_(solution),
          pacer_(pacer),
          scans_(scans),
          space_(workspace),
          v_(space_.values(padded<T>(p_.columns))),
          least_row_(space_.indices(padded<T>(p_.columns))),
          queue_(space_.indices(p_.rows)),
          lists_(p_, v_, space_),
          search_(p_, out_, v_, lists_, space_, pacer, scans_) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) {
        return 2 * padded<T>(columns) + rows + Lists::workspace(rows, columns) +
               Search<T, kNegate>::workspace(rows, columns);
    }

    Outcome solve(Start start) {
        const bool square = p_.rows == p_.columns && !p_.has_limit;
        // The first of these reads every cost, and stops at NaN or -inf.
        const Outcome first = !square                ? start_at_zero()
                              : start == Start::warm ? start_from_before()
                                                     : reduce_columns(start == Start::cold);
        if (first.status != Status::ok || first.stopped) return first;
        if (start == Start::careful) {
            // Bids go as far as the second best, which may be far beyond what any path needs.
            if (square && take_tight_columns<false>().stopped) return stopped();
        } else if (!price_rows(square)) {
            return stopped();
        }
        search_.prepare();
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            if (out_.col_of_row[i] != kFree) continue;
            const Outcome found = search_.augment(i);
            if (found.status != Status::ok || found.stopped) return found;
        }
        finish();
        return {};
    }

   private:
    bool price_rows(bool square) {
        if (!reduce_rows()) return false;
        // If a few passes leave many rows free, the paths would be long: rows that want the same columns need prices
        // first.
        if (!square || free_rows() * kHardShare <= p_.rows || p_.rows < kFewRows) return true;
        return scale_prices() && !take_tight_columns<false>().stopped && reduce_rows();
    }

    using Lists = Candidates<T, kNegate>;
    static constexpr std::int64_t kFree = -1, kRejected = Search<T, kNegate>::kRejected;
    // A tenth of the rows: uniform costs leave 3 to 4 %, points in the plane 15 %, products of factors 70 %.
    static constexpr std::int64_t kHardShare = 10;
    static constexpr std::int64_t kFewRows = 32;
    static constexpr std::int64_t kBidsPerRow = 4;

    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }
    T at(std::int64_t i, std::int64_t j) const { return kNegate ? -row(i)[j] : row(i)[j]; }
    std::int64_t vectors() const { return padded<T>(p_.columns) / kWidth<T>; }
    static Outcome stopped() { return {Status::ok, 0, 0, true}; }

    void clear() {
        for (std::int64_t i = 0; i < p_.rows; ++i) out_.col_of_row[i] = kFree;
        for (std::int64_t j = 0; j < p_.columns; ++j) out_.row_of_col[j] = kFree;
    }
    std::int64_t free_rows() const {
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i) count += out_.col_of_row[i] == kFree;
        return count;
    }
    void match(std::int64_t i, std::int64_t j) {
        out_.col_of_row[i] = j;
        out_.row_of_col[j] = i;
    }

    // Prices far beyond the costs would cost these their digits. Any prices will do to start from, so a few rows tell
    // well enough how large the costs are.
    bool bound_prices() {
        constexpr std::int64_t samples = 32;
        const std::int64_t step = p_.rows > samples ? p_.rows / samples : 1;
        Vec<T> most{};
        for (std::int64_t i = 0; i < p_.rows; i += step) {
            for_each_vector<T, kNegate>(row(i), p_.columns, [&](std::int64_t, Vec<T> c) __attribute__((always_inline)) {
                const Vec<T> size = absolute(c);
                most = maximum(most, select(size < infinity<T>(), size, Vec<T>{}));
            });
            if (!pacer_.proceed(vectors())) return false;
        }
        const T largest = -least_lane<T>(-most)[0];
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            // Written so that NaN is bounded, too.
            if (!(v_[j] < largest)) v_[j] = largest;
            if (v_[j] < -largest) v_[j] = -largest;
        }
        return true;
    }

    // By how much a row may lower the price of its best column: infinite if there is no second.
    T slack_of(const TwoMinima<T>& found) const {
        const T slack = found.second - found.least;
        return slack < kInfinity<T> && most_ < slack ? most_ : slack;
    }

    Outcome refuse(std::int64_t i) const { return first_bad<T, kNegate>(row(i), p_.columns, i); }

    template <bool kCheck = false>
    TwoMinima<T> bid(std::int64_t i) {
        TwoMinima<T> found{};
        if (!lists_.pay()) {
            ++scans_.bids;
            found = two_minima<T, kNegate, kCheck>(row(i), v_, p_.columns);
        } else {
            if (!kCheck && lists_.is_known(i)) found = lists_.two_minima(i);
            if (kCheck || !lists_.is_known(i) || !(found.second <= lists_.bound(i))) {
                ++scans_.bids;
                found.bad = lists_.template refresh<kCheck>(i);
                if (kCheck && found.bad) return found;
                found = lists_.two_minima(i);
            }
        }
        // A row may also stay alone, at the limit.
        if (p_.has_limit && p_.limit < found.second) found.second = p_.limit;
        return found;
    }

    Outcome start_at_zero() {
        for (std::int64_t j = 0; j < padded<T>(p_.columns); ++j) v_[j] = 0;
        clear();
        return take_tight_columns<true>();
    }

    // Starts from the prices and pairs of an earlier solution. A pair stays if its reduced cost is still the least, up
    // to the rounding of its cost: otherwise rows would outbid each other over an ulp. An ulp of prices far above the
    // costs is not forgiven.
    Outcome start_from_before() {
        constexpr T rounding = 2 * std::numeric_limits<T>::epsilon();
        for (std::int64_t j = 0; j < padded<T>(p_.columns); ++j) v_[j] = j < p_.columns ? out_.col_dual[j] : T(0);
        if (!bound_prices()) return stopped();
        for (std::int64_t j = 0; j < p_.columns; ++j) out_.row_of_col[j] = kFree;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            out_.col_of_row[i] = kFree;
            const TwoMinima<T> found = bid<true>(i);
            if (found.bad) [[unlikely]]
                return refuse(i);
            if (j >= 0 && j < p_.columns && out_.row_of_col[j] == kFree) {
                const T c = at(i, j);
                if (c < kInfinity<T> && c - v_[j] - found.least <= rounding * std::abs(c)) match(i, j);
            }
            if (!pacer_.proceed(vectors())) return stopped();
        }
        return take_tight_columns<false>();
    }

    // Jonker and Volgenant's column reduction and (with `transfers`) reduction transfer, row by row: walking down
    // columns would miss the cache at every step.
    Outcome reduce_columns(bool transfers) {
        clear();
        for (std::int64_t k = 0; k < p_.columns; k += kWidth<T>) {
            store(v_ + k, infinity<T>());
            std::memset(least_row_ + k, 0, kVectorBytes);
        }
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            IntVec<T> bad{};
            for_each_vector<T, kNegate>(row(i), p_.columns,
                                        [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
                                            const Vec<T> least = load(v_ + k);
                                            bad |= ~(c > -infinity<T>());
                                            const auto less = c < least;
                                            if (!any(less)) return;
                                            store(v_ + k, minimum(least, c));
                                            IntVec<T> rows = load_int<T>(least_row_ + k);
                                            rows = less ? IntVec<T>{} + static_cast<Index<T>>(i) : rows;
                                            std::memcpy(least_row_ + k, &rows, sizeof rows);
                                        });
            if (any(bad)) [[unlikely]]
                return refuse(i);
            if (!pacer_.proceed(vectors())) return stopped();
        }
        // A column that is forbidden to every row gets no price.
        for (std::int64_t j = 0; j < padded<T>(p_.columns); ++j)
            if (!(v_[j] < kInfinity<T>) || j >= p_.columns) v_[j] = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i) queue_[i] = 0;
        // Rows go in order, so that a constant matrix gives the identity.
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            const std::int64_t i = least_row_[j];
            if (at(i, j) != v_[j]) continue;
            if (queue_[i]++ == 0) match(i, j);
        }
        for (std::int64_t i = 0; transfers && i < p_.rows; ++i) {
            if (queue_[i] != 1) continue;
            const std::int64_t j = out_.col_of_row[i];
            const TwoMinima<T> found = bid(i);
            const T slack = found.second - found.least;
            if (found.column == j && slack > 0 && slack < kInfinity<T>) v_[j] -= slack;
            if (!pacer_.proceed(vectors())) return stopped();
        }
        return {};
    }

    // Every row takes the column of its least reduced cost if that column is free.
    template <bool kCheck>
    Outcome take_tight_columns() {
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            if (out_.col_of_row[i] != kFree) continue;
            const TwoMinima<T> found = bid<kCheck>(i);
            if (kCheck && found.bad) [[unlikely]]
                return refuse(i);
            if (reject_if_dear(i, found.least)) continue;
            std::int64_t j = found.column;
            if (out_.row_of_col[j] >= 0 && found.least == found.second) j = free_at(i, found.least);
            if (j >= 0 && found.least < kInfinity<T> && out_.row_of_col[j] < 0) match(i, j);
            if (!pacer_.proceed(vectors())) return stopped();
        }
        return {};
    }

    std::int64_t free_at(std::int64_t i, T value) {
        if (lists_.pay()) {
            const std::int64_t j = lists_.free_at(i, value, out_.row_of_col);
            if (j >= 0 || value < lists_.bound(i)) return j;
        }
        ++scans_.bids;
        return free_column_at<T, kNegate>(row(i), v_, p_.columns, value, out_.row_of_col);
    }

    // A pair that costs exactly the limit would gain nothing, so it is not made. Prices are never above 0, so a cost is
    // at most the reduced cost.
    bool reject_if_dear(std::int64_t i, T least) {
        if (!p_.has_limit || least < p_.limit) return false;
        out_.col_of_row[i] = kRejected;
        return true;
    }

    // Augmenting row reduction: a free row takes its best column and lowers its price until the second best is as good;
    // the row that loses the column goes next.
    bool reduce_rows() {
        for (int pass = 0; pass < 2; ++pass) {
            std::int64_t count = 0;
            for (std::int64_t i = 0; i < p_.rows; ++i)
                if (out_.col_of_row[i] == kFree) queue_[count++] = static_cast<Index<T>>(i);
            std::int64_t budget = kBidsPerRow * count;
            for (std::int64_t q = 0; q < count;) {
                const std::int64_t i = queue_[q];
                const TwoMinima<T> found = bid(i);
                if (!pacer_.proceed(vectors())) return false;
                if (reject_if_dear(i, found.least) || !(found.least < kInfinity<T>)) {
                    ++q;
                    continue;
                }
                std::int64_t j = found.column;
                const T slack = slack_of(found);
                // The price falls only if floating point shows the difference, and never by an infinity.
                const bool lowers = slack < kInfinity<T> && v_[j] - slack < v_[j];
                std::int64_t former = out_.row_of_col[j];
                if (!lowers && former >= 0) {
                    const std::int64_t other = free_at(i, found.least);
                    if (other >= 0) {
                        j = other;
                        former = -1;
                    }
                }
                if (lowers) v_[j] -= slack;
                match(i, j);
                ++q;
                if (former < 0) continue;
                out_.col_of_row[former] = kFree;
                if (lowers && budget-- > 0) queue_[--q] = static_cast<Index<T>>(former);
            }
        }
        return true;
    }

    // Finds prices by auctions with a falling increment (Bertsekas); the assignment of each auction is dropped.
    bool scale_prices() {
        const T scale = robust_spread();
        if (!(scale > 0) || !(scale < kInfinity<T>)) return true;
        most_ = kMostSpreads * scale;
        clamp_prices();
        const T last = scale / (kLastIncrement * static_cast<T>(p_.rows));
        if (!(last > 0)) return true;
        for (T increment = scale / kFirstIncrement;;) {
            if (increment < last) increment = last;
            if (!auction(increment)) return false;
            if (increment <= last) break;
            increment /= kIncrementRatio;
        }
        clear();
        return true;
    }
    // Machol-Wien costs of 4000 x 4000 take 302 passes a row for paths after a last increment of spread / 4n, and 11
    // after spread / 64n; others hardly tell.
    static constexpr T kFirstIncrement = 16, kLastIncrement = 64, kIncrementRatio = 6;

    // How far the reduced costs that matter spread over a row, in the median over some rows. Costs that mean "never"
    // are not among them: the spread is seen at the cheapest 32nd of the columns, and then at an eighth and at half of
    // them as long as it does not jump far beyond the costs. Spreads that rounding could have made do not count.
    T robust_spread() const {
        constexpr int levels = 3, places[levels] = {1, 7, 31}, most_rows = 32, most_columns = 64;
        T spreads[levels][most_rows], sizes[most_rows];
        int count = 0;
        const std::int64_t step = p_.rows > most_rows ? p_.rows / most_rows : 1;
        for (std::int64_t i = 0; i < p_.rows && count < most_rows; i += step) {
            const T* const c = row(i);
            const TwoMinima<T> found = two_minima<T, kNegate>(c, v_, p_.columns);
            if (!(found.least < kInfinity<T>)) continue;
            T x[most_columns];
            for (std::int64_t k = 0; k < most_columns; ++k) {
                const std::int64_t j = (k * p_.columns + i % p_.columns) / most_columns;
                insert(x, static_cast<int>(k), at(i, j) - v_[j] - found.least);
            }
            for (int n = 0; n < levels; ++n) insert(spreads[n], count, x[places[n]]);
            insert(sizes, count, std::abs(at(i, found.column)) + std::abs(v_[found.column]));
            ++count;
        }
        T scale = 0;
        for (int n = 0; n < levels && count > 0; ++n) {
            const T spread = spreads[n][count / 2];
            const T wide = spread * static_cast<T>(most_columns / (places[n] + 1));
            const T size = sizes[count / 2];
            if (scale > 0 && !(wide <= kJump * (scale > size ? scale : size))) break;
            if (spread > kNoise * size) scale = wide;
        }
        return scale;
    }
    static constexpr T kJump = 256, kNoise = 1024 * std::numeric_limits<T>::epsilon();

    // Adds a value to `count` sorted ones.
    static void insert(T* values, int count, T value) {
        for (; count > 0 && value < values[count - 1]; --count) values[count] = values[count - 1];
        values[count] = value;
    }

    // Prices that a cost which means "never" has made would take the digits of all others. Any prices will do to start
    // from.
    void clamp_prices() {
        T low = kInfinity<T>;
        T sorted[64];
        int count = 0;
        const std::int64_t step = p_.columns > 64 ? p_.columns / 64 : 1;
        for (std::int64_t j = 0; j < p_.columns && count < 64; j += step) insert(sorted, count++, v_[j]);
        low = sorted[count / 2] - kMostSpreads * most_;
        for (std::int64_t j = 0; j < p_.columns; ++j)
            if (v_[j] < low) v_[j] = low;
    }

    bool auction(T increment) {
        clear();
        std::int64_t count = 0;
        for (std::int64_t i = p_.rows; i-- > 0;) queue_[count++] = static_cast<Index<T>>(i);
        // If there is no assignment, prices would fall for ever; the paths will find that out.
        for (std::int64_t budget = 64 * p_.rows; count > 0 && budget > 0; --budget) {
            const std::int64_t i = queue_[--count];
            const TwoMinima<T> found = bid(i);
            if (!pacer_.proceed(vectors())) return false;
            if (!(found.least < kInfinity<T>)) continue;
            const T slack = slack_of(found);
            const std::int64_t j = found.column, former = out_.row_of_col[j];
            const T price = v_[j] - (slack < kInfinity<T> ? slack + increment : increment);
            // If rounding swallows the increment, two rows would outbid each other for ever.
            if (former >= 0 && !(price < v_[j])) continue;
            v_[j] = price;
            match(i, j);
            if (former >= 0) queue_[count++] = static_cast<Index<T>>(former);
        }
        return true;
    }

    void finish() {
        for (std::int64_t j = 0; j < p_.columns; ++j) out_.col_dual[j] = v_[j];
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            if (j >= 0) {
                out_.row_dual[i] = at(i, j) - v_[j];
                // Rounding may lift the dual over the limit, where it would prove nothing.
                if (p_.has_limit && p_.limit < out_.row_dual[i]) out_.row_dual[i] = p_.limit;
            } else {
                out_.row_dual[i] = p_.limit;
                out_.col_of_row[i] = kFree;
            }
        }
    }

    const Problem<T>& p_;
    const Solution<T>& out_;
    Pacer& pacer_;
    Scans& scans_;
    Space<T> space_;
    T* v_;
    Index<T>*least_row_, *queue_;
    // A bid lowers no price by more: prices have to outbid the costs that matter, not those that mean "never".
    T most_ = kInfinity<T>;
    static constexpr T kMostSpreads = 64;
    Lists lists_;
    Search<T, kNegate> search_;
};

}  // namespace coalign::COALIGN_SET
