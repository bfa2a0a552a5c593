// One assignment problem, solved by a team of threads: csrc/assignment/dense.hpp, whose comments say why. Every thread
// takes every turn; what only one does is said.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "assignment_columns.cuh"
#include "core/arithmetic.cuh"
#include "core/status.hpp"
#include "core/team.cuh"

namespace coalign::cuda {

// What the threads share of the rows of a problem, in global memory.
struct RowMemory {
    int* col_of_row;
    int* claims;  // how many columns have the row as their least
};

template <class T, class Team, class Columns>
class Solver {
   public:
    using Problem = typename Columns::Problem;

    __device__ Solver(const Problem& problem, const RowMemory& rows, const ColumnMemory<T>& columns, Team& team)
        : p_(problem), rows_(rows), memory_(columns), team_(team), columns_(problem, columns, team) {}

    // `is_careful`: by shortest paths alone, whose prices never grow beyond what they need. Slower, and keeps most
    // digits.
    __device__ Status solve(bool is_careful = false) {
        const bool square = p_.rows == p_.columns && !p_.has_limit;
        const int none = p_.columns == 0 ? kRejected : square ? p_.columns : kFree;
        for (int i = team_.rank(); i < p_.rows; i += team_.size()) rows_.col_of_row[i] = none;
        team_.sync();
        // If there is nothing to read.
        if (p_.columns == 0) return Status::ok;
        const unsigned flaws = square ? reduce_columns(!is_careful) : take_tight_columns();
        if (flaws != 0) return (flaws & kHoldsNaN) != 0 ? Status::nan : Status::invalid;
        if (is_careful) {
            if (square) take_tight_columns();
        } else {
            reduce_rows();
            // If that leaves many rows free, the paths would be long: rows that want the same columns need prices
            // first.
            if (square && p_.rows >= kFewRows && free_rows() * kHardShare > p_.rows && scale_prices()) {
                take_tight_columns();
                reduce_rows();
            }
        }
        const bool feasible = for_each_row(rows_.col_of_row, kFree, [&](int i) { return augment(i); });
        if (!feasible) return Status::infeasible;
        drop_pairs_at_limit();
        return Status::ok;
    }

    __device__ int bids() const { return bids_; }
    __device__ int paths() const { return paths_; }

   private:
    static constexpr int kHardShare = 10, kFewRows = 32, kBidsPerRow = 4;
    static constexpr T kFirstIncrement = 16, kLastIncrement = 4, kIncrementRatio = 6;
    static constexpr T kMostSpreads = 64, kJump = 256, kNoise = 1024 * kEpsilon<T>;

    // Visits the rows of a mark, 32 marks at a time, while it is true.
    template <class Visit>
    __device__ bool for_each_row(const int* marks, int mark, Visit&& visit) {
        const int lane = static_cast<int>(threadIdx.x % kWarp);
        for (int first = 0; first < p_.rows; first += static_cast<int>(kWarp)) {
            const int i = first + lane;
            unsigned found = __ballot_sync(kWholeWarp, i < p_.rows && marks[i] == mark);
            for (; found != 0; found &= found - 1)
                if (!visit(first + __ffs(static_cast<int>(found)) - 1)) return false;
        }
        return true;
    }

    __device__ unsigned any_flaw(unsigned mine) {
        // NaN goes before infinity: its rank is the least.
        const unsigned rank = (mine & kHoldsNaN) != 0 ? 0u : (mine & kHoldsInfinity) != 0 ? 1u : 2u;
        const unsigned least = team_.least({T(0), rank}).rank;
        return least == 0 ? kHoldsNaN : least == 1 ? kHoldsInfinity : 0;
    }

    template <bool kCheck = false>
    __device__ Bid<T> bid(int i, unsigned& flaws) {
        ++bids_;
        const Bid<T> mine = columns_.template bid<kCheck>(i, flaws);
        const Ranked<T> best = team_.least({mine.least, mine.rank});
        T second = team_.least({mine.rank == best.rank ? mine.second : mine.least, 0}).value;
        if (p_.has_limit) second = lesser(second, p_.limit);
        return {best.value, second, best.rank};
    }
    __device__ Bid<T> bid(int i) {
        unsigned unseen = 0;
        return bid<false>(i, unseen);
    }

    // One thread writes what all have to have read before, and see after.
    __device__ void match(int i, int j, int former) {
        team_.sync();
        if (team_.rank() == 0) {
            rows_.col_of_row[i] = j;
            memory_.row_of_col[j] = i;
            if (former >= 0) rows_.col_of_row[former] = kFree;
        }
        columns_.take(j);
        team_.sync();
    }

    __device__ bool reject_if_dear(int i, T least) {
        if (!p_.has_limit || least < p_.limit) return false;
        if (team_.rank() == 0) rows_.col_of_row[i] = kRejected;
        return true;
    }

    // If as many rows as columns have to be matched, a price may have either sign.
    __device__ unsigned reduce_columns(bool transfers) {
        columns_.begin_least();
        for (int i = team_.rank(); i < p_.rows; i += team_.size()) rows_.claims[i] = 0;
        team_.sync();
        unsigned flaws = 0;
        for (int i = 0; i < p_.rows; ++i) flaws |= columns_.take_least(i);
        // Of the columns whose least cost is in this row, the first gets the row.
        columns_.end_least([&](int i, int j) {
            atomicMin(rows_.col_of_row + i, j);
            atomicAdd(rows_.claims + i, 1);
        });
        flaws = any_flaw(flaws);
        team_.sync();
        if (flaws != 0) return flaws;
        for (int i = team_.rank(); i < p_.rows; i += team_.size()) {
            const int j = rows_.col_of_row[i];
            if (j < p_.columns) memory_.row_of_col[j] = i;
            else rows_.col_of_row[i] = kFree;
        }
        team_.sync();
        columns_.note_taken();
        if (!transfers) return 0;
        for_each_row(rows_.claims, 1, [&](int i) {
            const Bid<T> found = bid(i);
            const T slack = found.second - found.least;
            const int j = rows_.col_of_row[i];
            if ((found.rank & ~kTaken) == static_cast<unsigned>(j) && slack > 0 && slack < kInfinity<T>)
                columns_.lower(j, slack);
            return true;
        });
        return 0;
    }

    // Every free row takes the column of its least reduced cost, if that is free too. Unless columns were reduced
    // before, this is the first pass over all costs.
    __device__ unsigned take_tight_columns() {
        unsigned flaws = 0;
        for_each_row(rows_.col_of_row, kFree, [&](int i) {
            const Bid<T> found = bid<true>(i, flaws);
            if (reject_if_dear(i, found.least)) return true;
            if (found.least < kInfinity<T> && (found.rank & kTaken) == 0) match(i, column_of(found.rank), kFree);
            return true;
        });
        flaws = any_flaw(flaws);
        team_.sync();
        return flaws;
    }

    // By how much a row may lower the price of its best column: infinite if there is no second.
    __device__ T slack_of(const Bid<T>& found) const {
        const T slack = found.second - found.least;
        return slack < kInfinity<T> ? lesser(slack, most_) : slack;
    }

    __device__ void reduce_rows() {
        for (int pass = 0; pass < 2; ++pass) reduce_rows_once();
    }

    // A free row takes its best column, whose price falls to where the second best is as good; the row that had it
    // goes next.
    __device__ void reduce_rows_once() {
        int budget = kBidsPerRow * free_rows();
        for_each_row(rows_.col_of_row, kFree, [&](int i) {
            while (true) {
                const Bid<T> found = bid(i);
                if (reject_if_dear(i, found.least) || !(found.least < kInfinity<T>)) break;
                const int j = column_of(found.rank), former = memory_.row_of_col[j];
                const T price = memory_.price[j], slack = slack_of(found);
                // The price falls only if floating point shows the difference, and never by an infinity.
                const bool lowers = slack < kInfinity<T> && price - slack < price;
                if (!lowers && former >= 0) break;
                match(i, j, former);
                if (lowers) columns_.lower(j, slack);
                if (former < 0 || budget == 0) break;
                --budget;
                i = former;
            }
            return true;
        });
        team_.sync();
    }

    __device__ int free_rows() {
        int count = 0;
        for_each_row(rows_.col_of_row, kFree, [&](int) {
            ++count;
            return true;
        });
        return count;
    }

    __device__ void clear() {
        team_.sync();
        for (int i = team_.rank(); i < p_.rows; i += team_.size()) rows_.col_of_row[i] = kFree;
        columns_.release_all();
        team_.sync();
    }

    // Finds prices by auctions with a falling increment (Bertsekas); the assignment of each auction is dropped.
    __device__ bool scale_prices() {
        const T scale = robust_spread();
        if (!(scale > 0) || !(scale < kInfinity<T>)) return false;
        most_ = kMostSpreads * scale;
        clamp_prices();
        const T last = scale / (kLastIncrement * static_cast<T>(p_.rows));
        if (!(last > 0)) return false;
        for (T increment = scale / kFirstIncrement;; increment /= kIncrementRatio) {
            increment = greater(increment, last);
            auction(increment);
            if (increment <= last) break;
        }
        clear();
        return true;
    }

    // How far the reduced costs that matter spread over a row, in the median over some rows: every lane has a column of
    // each row that is looked at, and keeps what was found in one row. Costs that mean "never" are not among them: the
    // spread is seen at the cheapest columns, and then at more of them as long as it does not jump far beyond the
    // costs.
    __device__ T robust_spread() {
        constexpr int levels = 4, places[levels] = {0, 1, 3, 15}, samples = static_cast<int>(kWarp);
        const int lane = static_cast<int>(threadIdx.x % kWarp);
        T spreads[levels], size = kInfinity<T>;
        for (T& spread : spreads) spread = kInfinity<T>;
        const int step = p_.rows > samples ? p_.rows / samples : 1;
        int count = 0;
        team_.sync();
        for (int i = 0; i < p_.rows && count < samples; i += step) {
            const Bid<T> found = bid(i);
            if (!(found.least < kInfinity<T>)) continue;
            const int best = column_of(found.rank);
            const auto j = static_cast<int>((static_cast<std::int64_t>(lane) * p_.columns + i % p_.columns) / samples);
            const T sorted = warp_sorted(p_.at(i, j) - memory_.price[j] - found.least);
#pragma unroll
            for (int n = 0; n < levels; ++n) {
                const T spread = __shfl_sync(kWholeWarp, sorted, places[n]);
                if (lane == count) spreads[n] = spread;
            }
            if (lane == count) size = absolute(p_.at(i, best)) + absolute(memory_.price[best]);
            ++count;
        }
        if (count == 0) return 0;
        size = __shfl_sync(kWholeWarp, warp_sorted(size), count / 2);
        T scale = 0;
        bool goes_on = true;
#pragma unroll
        for (int n = 0; n < levels; ++n) {
            const T spread = __shfl_sync(kWholeWarp, warp_sorted(spreads[n]), count / 2);
            const T wide = spread * static_cast<T>(samples / (places[n] + 1));
            goes_on = goes_on && (!(scale > 0) || wide <= kJump * greater(scale, size));
            // Rounding could have made less.
            if (goes_on && spread > kNoise * size) scale = wide;
        }
        return scale;
    }

    // Prices that a cost which means "never" has made would take the digits of all others. Any prices will do to start
    // from.
    __device__ void clamp_prices() {
        constexpr int samples = static_cast<int>(kWarp);
        const auto j = static_cast<int>(static_cast<std::int64_t>(threadIdx.x % kWarp) * p_.columns / samples);
        const T middle = __shfl_sync(kWholeWarp, warp_sorted(memory_.price[j]), samples / 2);
        team_.sync();
        columns_.raise_to(middle - kMostSpreads * most_);
        team_.sync();
    }

    __device__ void auction(T increment) {
        clear();
        // If there is no assignment, prices would fall for ever; the paths will find that out.
        std::int64_t budget = std::int64_t{64} * p_.rows;
        for (int next = 0; next < p_.rows; ++next) {
            for (int i = next; i >= 0 && budget > 0; --budget) {
                const Bid<T> found = bid(i);
                if (!(found.least < kInfinity<T>)) break;
                const T slack = slack_of(found), by = slack < kInfinity<T> ? slack + increment : increment;
                const int j = column_of(found.rank), former = memory_.row_of_col[j];
                const T price = memory_.price[j];
                // If rounding swallows the increment, two rows would outbid each other for ever.
                if (former >= 0 && !(price - by < price)) break;
                match(i, j, former);
                columns_.lower(j, by);
                i = former;
            }
        }
    }

    // Dijkstra from a free row, over reduced costs, to the nearest free column or to the nearest row that may be let
    // go.
    __device__ bool augment(int first) {
        T distance = 0, way_out = p_.has_limit ? p_.limit : kInfinity<T>;
        int dropped = first, sink = kFree;
        ++paths_;
        Ranked<T> near = team_.least(columns_.template relax<true>(first, T(0), T(0)));
        while (true) {
            if (!(near.value < way_out)) {
                if (!p_.has_limit) return false;
                distance = way_out;
                break;
            }
            distance = near.value;
            const int j = column_of(near.rank);
            if ((near.rank & kTaken) == 0) {
                sink = j;
                break;
            }
            columns_.scan(j);
            const int i = memory_.row_of_col[j];
            // The row's dual, against which distances are taken from here on.
            const T offset = p_.at(i, j) - memory_.price[j] - distance;
            if (p_.has_limit && p_.limit - offset < way_out) {
                way_out = greater(p_.limit - offset, distance);
                dropped = i;
            }
            ++paths_;
            near = team_.least(columns_.template relax<false>(i, offset, distance));
        }
        team_.sync();
        columns_.lower_scanned(distance);
        if (team_.rank() == 0) exchange(first, sink, dropped);
        if (sink >= 0) columns_.take(sink);
        team_.sync();
        return true;
    }

    // One thread goes back along the path.
    __device__ void exchange(int first, int sink, int dropped) {
        int j = sink;
        if (sink < 0) {
            j = rows_.col_of_row[dropped];
            rows_.col_of_row[dropped] = kRejected;
            if (dropped == first) return;
        }
        while (true) {
            const int i = columns_.before(j), next = rows_.col_of_row[i];
            rows_.col_of_row[i] = j;
            memory_.row_of_col[j] = i;
            if (i == first) return;
            j = next;
        }
    }

    // A pair that costs exactly the limit gains nothing, and is not made.
    __device__ void drop_pairs_at_limit() {
        if (!p_.has_limit) return;
        for (int i = team_.rank(); i < p_.rows; i += team_.size()) {
            const int j = rows_.col_of_row[i];
            if (j < 0 || p_.at(i, j) < p_.limit) continue;
            memory_.row_of_col[j] = kFree;
            rows_.col_of_row[i] = kRejected;
        }
        team_.sync();
    }

    const Problem p_;
    RowMemory rows_;
    ColumnMemory<T> memory_;
    Team& team_;
    Columns columns_;
    // A bid lowers no price by more: prices have to outbid the costs that matter, not those that mean "never".
    T most_ = kInfinity<T>;
    int bids_ = 0, paths_ = 0;
};

}  // namespace coalign::cuda
