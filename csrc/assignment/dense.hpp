// The dense solver: Jonker and Volgenant's shortest augmenting paths. Where a first look shows that the paths would be
// long, Bertsekas's scaled prices come before them.
//
// Throughout, v_j are the columns' duals, and a row's dual is the least of c_ij - v_j. A matched pair reaches that
// least (in a warm start: up to rounding). If there are more columns than rows, or a limit, then v_j <= 0, and v_j = 0
// for a free column: only the price of a matched column is ever lowered, and a matched column stays matched.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>

#include "assignment/candidates.hpp"
#include "assignment/flat.hpp"
#include "assignment/kernels.hpp"
#include "assignment/lane_minima.hpp"
#include "assignment/matching.hpp"
#include "assignment/near_search.hpp"
#include "assignment/scans.hpp"
#include "assignment/search.hpp"
#include "assignment/short_search.hpp"
#include "assignment/tight.hpp"

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
          floor_(space_.values(padded<T>(p_.rows))),
          v_(space_.values(padded<T>(p_.columns))),
          least_(space_.values(padded<T>(p_.columns))),
          least_row_(space_.indices(padded<T>(p_.columns))),
          queue_(space_.indices(p_.rows)),
          matching_(p_, out_, space_),
          lists_(p_, v_, space_),
          search_(p_, matching_, v_, lists_, space_, pacer, scans_),
          short_search_(p_, matching_, v_, space_, pacer, scans_),
          tight_(p_, matching_, space_, pacer),
          flat_(p_, matching_, v_, space_),
          nearest_(p_, v_, space_),
          near_search_(p_, matching_, v_, nearest_, space_, scans_) {}

    static std::int64_t workspace(std::int64_t rows, std::int64_t columns) {
        return 3 * padded<T>(columns) + padded<T>(rows) + rows + Matching<T>::workspace(columns) +
               Lists::workspace(rows, columns) + Search<T, kNegate>::workspace(rows, columns) +
               ShortSearch<T, kNegate>::workspace(columns) + Tight<T, kNegate>::workspace(rows, columns) +
               FlatRows<T, kNegate>::workspace(rows) + LaneMinima<T, kNegate>::workspace(rows, columns) +
               NearSearch<T, kNegate>::workspace(rows, columns) + Space<T>::rounding(kParts);
    }

    Outcome solve(Start start) {
        noise_ = noise_of(start);
        const bool square = p_.rows == p_.columns && !p_.has_limit;
        const bool flat = start != Start::warm && are_rows_flat<T, kNegate>(p_);
        // The first of these reads every cost, and stops at NaN or -inf.
        const Outcome first = square && start == Start::warm ? start_from_before()
                              : flat                         ? look_first<false, true>(false)
                              : square                       ? look_first<true, true>(start != Start::careful)
                                                             : look_first<false, false>(false);
        if (first.status != Status::ok || first.stopped) return first;
        if (start == Start::careful) {
            // Bids go as far as the second best, which may be far beyond what any path needs.
            if (square && !take_tight_columns()) return stopped();
        } else if (!price_rows(square)) {
            return stopped();
        }
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            if (out_.col_of_row[i] != kFree) continue;
            if (is_near_known_ && near_search_.pays() && near_search_.augment(i)) continue;
            const Outcome found = is_short() ? short_search_.augment(i) : search_.augment(i);
            if (found.status != Status::ok || found.stopped) return found;
        }
        finish();
        return {Status::ok, 0, 0, false, start != Start::warm};
    }

   private:
    // At most, of the workspace.
    static constexpr std::int64_t kParts = 40;

    bool price_rows(bool square) {
        // Prices are 0 then.
        if (ties_decide_ && !tight_.match_rows()) return false;
        if ((square || bids()) && !reduce_rows()) return false;
        // If a few passes leave many rows free, the paths would be long: rows that want the same columns need prices
        // first. But where ties decide, rows outbid each other by increments, for ever so long.
        const std::int64_t left = free_rows();
        if (!square || left * kHardShare <= p_.rows || left < kFewRows || tied_ * kTiedShare >= bids_) return true;
        const T scale = robust_spread();
        if (!(scale > 0) || !(scale < kInfinity<T>)) return true;
        return scale_prices(scale) && take_tight_columns() && reduce_rows();
    }

    using Lists = Candidates<T, kNegate>;
    static constexpr std::int64_t kFree = Matching<T>::kFree;
    // A tenth of the rows: uniform costs leave 3 to 4 %, points in the plane 15 %, products of factors 70 %.
    static constexpr std::int64_t kHardShare = 10;
    static constexpr std::int64_t kFewRows = 32;
    // A quarter of the bids: of uniform costs, points and products of factors up to 3 % are tied, of distances on a
    // line 40 to 60 %, of duplicates all.
    static constexpr std::int64_t kTiedShare = 4;
    static constexpr std::int64_t kBidsPerRow = 4;
    // Up to 200 columns in float64 one pass for everything is quicker, by a quarter at 150.
    static constexpr std::int64_t kShort = 1600 / sizeof(T);

    // So many columns of one cost are more than a list holds.
    static constexpr int kMany = 24;

    bool is_short() const { return p_.columns <= kShort; }
    // Whether rows that are left bid for columns where the problem is no square.
    bool bids() const { return p_.has_limit || !is_short(); }
    const T* row(std::int64_t i) const { return p_.cost + i * p_.stride; }
    T at(std::int64_t i, std::int64_t j) const { return kNegate ? -row(i)[j] : row(i)[j]; }
    std::int64_t vectors() const { return padded<T>(p_.columns) / kWidth<T>; }
    static Outcome stopped() { return {Status::ok, 0, 0, true}; }

    std::int64_t free_rows() const {
        std::int64_t count = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i) count += out_.col_of_row[i] == kFree;
        return count;
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
        if (!kCheck && flat_.is_known(i) && flat_.two_minima(i, found)) {
        } else if (!kCheck && nearest_.two_minima(i, found)) {
        } else if (!lists_.pay()) {
            ++scans_.bids;
            Minima<T> minima;
            const bool bad = take_minima<T, kNegate, kCheck>(row(i), v_, p_.columns, minima);
            found = minima.found(bad);
            if (nearest_.hold()) nearest_.keep(i, minima);
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

    // Starts from the prices and pairs of an earlier solution. A pair stays if its reduced cost is still the least, up
    // to the rounding of its cost: otherwise rows would outbid each other over an ulp. An ulp of prices far above the
    // costs is not forgiven.
    Outcome start_from_before() {
        constexpr T rounding = 2 * std::numeric_limits<T>::epsilon();
        for (std::int64_t j = 0; j < padded<T>(p_.columns); ++j) v_[j] = j < p_.columns ? out_.col_dual[j] : T(0);
        if (!bound_prices()) return stopped();
        if (!lists_.pay()) nearest_.begin();
        matching_.clear_columns();
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            const std::int64_t j = out_.col_of_row[i];
            matching_.release(i);
            const TwoMinima<T> found = bid<true>(i);
            if (found.bad) [[unlikely]]
                return refuse(i);
            if (j >= 0 && j < p_.columns && out_.row_of_col[j] == kFree) {
                const T c = at(i, j);
                if (c < kInfinity<T> && c - v_[j] - found.least <= rounding * std::abs(c)) matching_.match(i, j);
            }
            if (!pacer_.proceed(vectors())) return stopped();
        }
        if (!take_tight_columns()) return stopped();
        return {};
    }

    // Goes through all costs once. At prices of 0 every row takes a column of its least cost, if one is free. If that
    // leaves many rows of a square problem, Jonker and Volgenant's column reduction begins anew: it has seen all costs
    // by then, row by row, since walking down columns would miss the cache at every step. Where rows are flat, prices
    // of columns would hide that they can all turn to one cost.
    template <bool kSquare, bool kTies>
    Outcome look_first(bool transfers) {
        constexpr bool kFlat = kTies && !kSquare;
        matching_.clear();
        if (kFlat) flat_.begin();
        if (!lists_.pay()) nearest_.begin();
        for (std::int64_t k = 0; k < p_.columns; k += kWidth<T>) {
            store(least_ + k, infinity<T>());
            store(v_ + k, Vec<T>{});
            std::memset(least_row_ + k, 0, kVectorBytes);
        }
        std::int64_t left = 0, tied = 0, common = 0;
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            // A cost that is none makes the sum NaN or -inf; so may an overflow.
            Vec<T> sum{};
            T least;
            typename Tight<T, kNegate>::Columns found;
            typename Lists::Affordable all;
            const bool is_listed = !kTies && lists_.may_list_affordable() && lists_.list_affordable(i, all, sum);
            if (is_listed) {
                least = all.least;
                found = tight_.note(i, all.tight, all.count);
            } else if constexpr (kTies) {
                const LeastSpan<T> span = least_span<T, kNegate>(
                    row(i), p_.columns, [&](std::int64_t k, Vec<T> c) __attribute__((always_inline)) {
                        sum += c;
                        if constexpr (kSquare) see_columns(i, k, c);
                    });
                least = span.least;
                if (typename FlatRows<T, kNegate>::Columns few;
                    kFlat && flat_.may_list(i, least) && flat_.list(i, least, few))
                    found = tight_.note(i, few.of, few.count);
                else if (least < span.other) found = tight_.find_in_span(i, least, span.first);
                else found = tight_.find(i, least);
                if (kFlat && found.count == p_.columns) flat_.list_none(i, least);
            } else {
                Minima<T> minima;
                for_each_vector<T, kNegate>(row(i), p_.columns,
                                            [&](std::int64_t, Vec<T> c) __attribute__((always_inline)) {
                                                sum += c;
                                                minima.take(c);
                                            });
                const TwoMinima<T> two = minima.found(false);
                least = two.least;
                if (nearest_.hold()) nearest_.keep_first(i, minima);
                near_search_.note(i, two.column);
                found = two.least < two.second ? tight_.note(i, &two.column, 1) : tight_.find(i, least);
            }
            const IntVec<T> sound = sum > -infinity<T>();
            if (any(~sound)) [[unlikely]] {
                const Outcome bad = refuse(i);
                if (bad.status != Status::ok) return bad;
            }
            floor_[i] = least;
            if (!pacer_.proceed(2 * vectors())) return stopped();
            if (reject_if_dear(i, least)) continue;
            tied += found.count != 1;
            common += !is_listed && found.count > kMany;
            if (found.first_free >= 0) matching_.match(i, found.first_free);
            else ++left;
        }
        // A list would hold a few of the many columns at one cost.
        if (kFlat || kOften * common >= p_.rows) lists_.give_up();
        ties_decide_ = kOften * tied >= p_.rows;
        is_near_known_ = !kTies && !p_.has_limit && !ties_decide_ && nearest_.hold();
        if (!kSquare || kFewLeft * left <= p_.rows || 4 * tied >= kNearlyAll * p_.rows) return {};
        ties_decide_ = false;
        return reduce_columns(transfers);
    }

    // Takes a row's costs into the least of each column. Late rows have few of them.
    [[gnu::always_inline]] void see_columns(std::int64_t i, std::int64_t k, Vec<T> c) {
        const Vec<T> least = load(least_ + k);
        const IntVec<T> less = c < least;
        if (!any(less)) return;
        store(least_ + k, minimum(least, c));
        IntVec<T> rows = load_int<T>(least_row_ + k);
        rows = less ? IntVec<T>{} + static_cast<Index<T>>(i) : rows;
        std::memcpy(least_row_ + k, &rows, sizeof rows);
    }

    // One row in two; one row in eight, for which columns need not be reduced; three rows in four, whose ties prices of
    // columns would break. Coin flips tie in all rows, uniform costs in none.
    static constexpr std::int64_t kOften = 2, kFewLeft = 8, kNearlyAll = 3;

    // Column reduction, and reduction transfer.
    Outcome reduce_columns(bool transfers) {
        matching_.clear();
        // A column that is forbidden to every row gets no price.
        for (std::int64_t j = 0; j < p_.columns; ++j) v_[j] = least_[j] < kInfinity<T> ? least_[j] : T(0);
        for (std::int64_t i = 0; i < p_.rows; ++i) queue_[i] = 0;
        std::int64_t left = p_.rows;
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            const std::int64_t i = least_row_[j];
            if (at(i, j) != v_[j] || queue_[i]++ != 0) continue;
            matching_.match(i, j);
            --left;
        }
        // Transfers help the rows that are left, and none where the best of a row is no better than its second best.
        std::int64_t vain = 0;
        for (std::int64_t i = 0; transfers && i < p_.rows && kFewTransfers * left > p_.rows && vain < 16; ++i) {
            if (queue_[i] != 1) continue;
            const std::int64_t j = out_.col_of_row[i];
            const TwoMinima<T> found = bid(i);
            const T slack = found.second - found.least;
            vain += slack > 0 ? -vain : 1;
            if (found.column == j && slack > 0 && slack < kInfinity<T>) set_lane(v_, j, v_[j] - slack);
            if (!pacer_.proceed(vectors())) return stopped();
        }
        return {};
    }
    static constexpr std::int64_t kFewTransfers = 16;

    // Every free row takes a column of its least reduced cost, if one is free. False if the call is to stop.
    bool take_tight_columns() {
        for (std::int64_t i = 0; i < p_.rows; ++i) {
            if (out_.col_of_row[i] != kFree) continue;
            take_tight_column(i, bid(i));
            if (!pacer_.proceed(vectors())) return false;
        }
        return true;
    }

    // False if the row stays free.
    bool take_tight_column(std::int64_t i, const TwoMinima<T>& found) {
        if (reject_if_dear(i, found.least)) return true;
        if (!(found.least < kInfinity<T>)) return false;
        std::int64_t j = found.column;
        if (out_.row_of_col[j] >= 0) j = found.least == found.second ? free_at(i, found.least) : -1;
        if (j >= 0) matching_.match(i, j);
        return j >= 0;
    }

    std::int64_t free_at(std::int64_t i, T value) {
        if (flat_.is_known(i) && value < flat_.common(i)) return flat_.free_at(i, value);
        if (lists_.pay() && lists_.is_known(i)) {
            const std::int64_t j = lists_.free_at(i, value, out_.row_of_col);
            if (j >= 0 || value < lists_.bound(i)) return j;
        }
        ++scans_.bids;
        for (std::int64_t w = 0; w < Matching<T>::words(p_.columns); ++w) {
            const auto free = matching_.free_in(w);
            if (free == 0) continue;
            const auto set = matching_.equal(w, value, [&](std::int64_t k, auto whole) __attribute__((always_inline)) {
                return costs_at<T, kNegate>(row(i), k, p_.columns, whole) - load(v_ + k);
            }) & free;
            if (set != 0) return w * Matching<T>::kBits + std::countr_zero(set);
        }
        return -1;
    }

    // A pair that costs exactly the limit would gain nothing, so it is not made. Prices are never above 0, so a cost is
    // at most the reduced cost.
    bool reject_if_dear(std::int64_t i, T least) {
        if (!p_.has_limit || least < p_.limit) return false;
        matching_.reject(i);
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
                ++bids_;
                // Beyond rounding.
                tied_ += !(slack > noise_ * (std::abs(found.least + v_[j]) + std::abs(v_[j])));
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
                if (lowers) set_lane(v_, j, v_[j] - slack);
                matching_.match(i, j);
                ++q;
                if (former < 0) continue;
                matching_.release(former);
                if (lowers && budget-- > 0) queue_[--q] = static_cast<Index<T>>(former);
            }
        }
        return true;
    }

    // Finds prices by auctions with a falling increment (Bertsekas); the assignment of each auction is dropped.
    bool scale_prices(T scale) {
        most_ = kMostSpreads * scale;
        flat_.give_up();
        clamp_prices();
        const T last = scale / (kLastIncrement * static_cast<T>(p_.rows));
        if (!(last > 0)) return true;
        for (T increment = scale / kFirstIncrement;;) {
            if (increment < last) increment = last;
            if (!auction(increment)) return false;
            if (increment <= last) break;
            increment /= kIncrementRatio;
        }
        matching_.clear();
        return true;
    }
    // Machol-Wien costs of 4000 x 4000 take 302 passes a row for paths after a last increment of spread / 4n, and 11
    // after spread / 64n; others hardly tell.
    static constexpr T kFirstIncrement = 16, kLastIncrement = 64, kIncrementRatio = 6;

    // How far the reduced costs that matter spread over a row, in the median over some rows. Costs that mean "never"
    // are not among them: the spread is seen at the cheapest 32nd of the columns, and then at an eighth and at half of
    // them as long as it does not jump far beyond the costs. Spreads that rounding could have made do not count. 0, and
    // so no auctions, if the costs that matter are in some 32 columns of a row: rows would bid up to "never" for them,
    // where paths along so few are short. Points of which 16 in 1000 are near enough take 37 bids and 14 path passes a
    // row with auctions, and 1 and 5 without.
    T robust_spread() const {
        constexpr int levels = 3, places[levels] = {1, 7, 31}, most_rows = 32, most_columns = 64;
        T spreads[levels][most_rows], sizes[most_rows];
        // Behind so many sampled columns about 32 are nearer. In float32 auctions find better prices if they can see
        // how far the costs that matter spread: these keep digits that paths beside "never" would lose.
        const bool is_wide = sizeof(T) > sizeof(float);
        const std::int64_t nearer = is_wide ? 32 * most_columns / p_.columns : 1;
        const auto beyond = std::clamp<std::int64_t>(nearer, 1, most_columns - 1);
        int count = 0, gated = 0;
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
            const T near = std::max(found.second - found.least, std::abs(found.least));
            gated += found.second < kInfinity<T> && x[beyond] > kGate * near;
            insert(sizes, count, std::abs(at(i, found.column)) + std::abs(v_[found.column]));
            ++count;
        }
        T scale = 0;
        for (int n = 0; n < levels && count > 0 && 2 * gated < count; ++n) {
            const T spread = spreads[n][count / 2];
            const T wide = spread * static_cast<T>(most_columns / (places[n] + 1));
            const T size = sizes[count / 2];
            if (scale > 0 && !(wide <= kJump * (scale > size ? scale : size))) break;
            if (spread > kNoise * size) scale = wide;
        }
        return scale;
    }
    static constexpr T kJump = 256, kGate = 4096, kNoise = 1024 * std::numeric_limits<T>::epsilon();
    // What rounding may have made, relative to the costs.
    static constexpr T noise_of(Start start) {
        return start == Start::widened ? static_cast<T>(1024 * std::numeric_limits<float>::epsilon()) : kNoise;
    }

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
        bool rises = false;
        for (std::int64_t j = 0; j < p_.columns; ++j) {
            rises |= v_[j] < low;
            if (v_[j] < low) v_[j] = low;
        }
        if (!rises) return;
        lists_.forget();
        nearest_.forget();
    }

    bool auction(T increment) {
        matching_.clear();
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
            set_lane(v_, j, price);
            matching_.match(i, j);
            if (former >= 0) queue_[count++] = static_cast<Index<T>>(former);
        }
        return true;
    }

    void finish() {
        // Prices of square problems may be above 0, and floors prove nothing then.
        const bool is_square = p_.rows == p_.columns && !p_.has_limit;
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
            if (flat_.is_known(i)) floor_[i] = flat_.floor(i);
            else if (!is_square && floor_[i] < out_.row_dual[i]) floor_[i] = floor(i);
        }
    }

    // What no reduced cost of a row is below, at the prices of now.
    T floor(std::int64_t i) const {
        if (nearest_.is_known(i)) return nearest_.floor(i);
        if (lists_.pay() && lists_.is_known(i)) return lists_.floor(i);
        return floor_[i];
    }

    const Problem<T>& p_;
    const Solution<T>& out_;
    Pacer& pacer_;
    Scans& scans_;
    Space<T> space_;
    // The least cost of each row; then per column its price, and its least cost and the row of that.
    T *floor_, *v_, *least_;
    Index<T>*least_row_, *queue_;
    Matching<T> matching_;
    // A bid lowers no price by more: prices have to outbid the costs that matter, not those that mean "never".
    T most_ = kInfinity<T>;
    static constexpr T kMostSpreads = 64;
    Lists lists_;
    Search<T, kNegate> search_;
    ShortSearch<T, kNegate> short_search_;
    Tight<T, kNegate> tight_;
    FlatRows<T, kNegate> flat_;
    LaneMinima<T, kNegate> nearest_;
    NearSearch<T, kNegate> near_search_;
    // Whether half of the rows have ties; and whether the nearest columns of all rows are known.
    bool ties_decide_ = false, is_near_known_ = false;
    T noise_ = kNoise;
    // Of the rows that free rows have bid for columns, and those whose two best were the same.
    std::int64_t bids_ = 0, tied_ = 0;
};

}  // namespace coalign::COALIGN_SET
