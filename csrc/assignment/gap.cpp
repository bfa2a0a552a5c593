// With costs c, prices v and limit l (infinite for none), let u_i = min(l, min_j c_ij - v_j). Prices of columns that
// may stay free are at most 0. Then no matching of the rows costs less than sum u_i + sum v_j; with a limit, the sum of
// c - l over its pairs is at least sum (u_i - l) + sum v_j. The distance to that bound is a sum of terms that are never
// negative:
//     c_ij - v_j - u_i for each pair,    l - u_i for each free row,    -v_j for each free column.
// Each term is computed without rounding, as a sum of four numbers; the terms are added up with what every rounding
// takes away, and the end is rounded up.
#include "assignment/gap.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "assignment/rows.hpp"
#include "core/batch_run.hpp"
#include "core/buffer.hpp"

namespace coalign::assignment {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A rounded number and what the rounding took away.
struct Exact {
    double value, rest = 0;
};

// D. E. Knuth: The Art of Computer Programming, vol. 2, section 4.2.2, theorem B. Where a part overflows, the rest is
// not finite.
Exact sum_of(double a, double b) {
    const double value = a + b, part = value - a;
    return {value, (a - (value - part)) + (b - part)};
}

Exact difference(double a, double b) {
    return sum_of(a, -b);
}

bool is_less(const Exact& a, const Exact& b) {
    return a.value < b.value || (a.value == b.value && a.rest < b.rest);
}

double next(double value) {
    return std::nextafter(value, kInfinity);
}

// A sum that knows how far it may be below the true one.
class Sum {
   public:
    void add(double term) {
        const Exact high = sum_of(high_, term), low = sum_of(low_, high.rest);
        high_ = high.value;
        low_ = low.value;
        lost_ += std::abs(low.rest);
    }
    // At least the true sum: that very number where a double holds it and nothing was lost.
    double above() const {
        const Exact sum = sum_of(high_, low_);
        if (lost_ == 0) return sum.rest > 0 ? next(sum.value) : sum.value;
        // Twice the sum of what was lost is more than its own roundings.
        return next(sum.value + next(sum.rest + 2 * lost_));
    }

   private:
    double high_ = 0, low_ = 0, lost_ = 0;
};

// The costs of one problem, whose lines are all matched unless there is a limit: rows, or columns if `flips`.
template <class T>
class DenseCosts {
   public:
    DenseCosts(Buffer<T>& room, const MatrixView<T>& costs, bool flips, bool maximize, Pacer& pacer)
        : given_(costs), room_(room), flips_(flips), sign_(maximize ? -1 : 1), pacer_(pacer) {
        lines_ = flips ? costs.columns : costs.rows;
        others_ = flips ? costs.rows : costs.columns;
        line_stride_ = flips ? costs.column_stride : costs.row_stride;
        other_stride_ = flips ? costs.row_stride : costs.column_stride;
        if (others_ <= 1) other_stride_ = 1;
    }

    double pair(std::int64_t line, std::int64_t other) const {
        return sign_ * static_cast<double>(given_.data[line * line_stride_ + other * other_stride_]);
    }

    // Calls take(line, the least c - v of the line, the cost of its pair) for each line.
    template <class Take>
    Outcome each(const double* prices, const std::int64_t* own, Take&& take) {
        for (std::int64_t line = 0; line < lines_; ++line) {
            Exact least{kInfinity};
            if (!find_least(values(line), prices, least)) return first_bad();
            take(line, least, own[line] < 0 ? 0 : pair(line, own[line]));
            if (!pacer_.proceed(others_)) return {Status::ok, 0, 0, true};
        }
        return {};
    }

   private:
    // As many lines as share a cache line are copied together, if their values do not lie side by side.
    static constexpr std::int64_t kCopied = 64 / sizeof(T);

    // Two of them are what every instruction set compares at once.
    typedef double Two __attribute__((vector_size(16)));
    static constexpr std::int64_t kBlock = 8;

    const T* values(std::int64_t line) {
        const T* const from = given_.data + line * line_stride_;
        if (other_stride_ == 1) return from;
        const std::int64_t at = line % kCopied;
        T* const copy = room_.reserve(kCopied * others_);
        if (at == 0) {
            const std::int64_t count = std::min(kCopied, lines_ - line);
            for (std::int64_t k = 0; k < others_; ++k)
                for (std::int64_t n = 0; n < count; ++n)
                    copy[n * others_ + k] = from[k * other_stride_ + n * line_stride_];
        }
        return copy + at * others_;
    }

    // False where a value is no cost.
    bool find_least(const T* values, const double* prices, Exact& least) const {
        // Rounded differences keep their order, so the least true one is among the least rounded ones.
        const auto rounded = [&](std::int64_t k) { return sign_ * static_cast<double>(values[k]) - prices[k]; };
        const auto two = [&](std::int64_t k) { return Two{rounded(k), rounded(k + 1)}; };
        Two lanes[kBlock / 2];
        std::fill_n(lanes, kBlock / 2, Two{kInfinity, kInfinity});
        const std::int64_t whole = others_ / kBlock * kBlock;
        for (std::int64_t k = 0; k < whole; k += kBlock)
            for (std::int64_t at = 0; at < kBlock / 2; ++at) {
                const Two x = two(k + 2 * at);
                lanes[at] = x < lanes[at] ? x : lanes[at];
            }
        double value = kInfinity;
        for (const Two& lane : lanes) value = std::min({value, lane[0], lane[1]});
        for (std::int64_t k = whole; k < others_; ++k) value = std::min(value, rounded(k));
        // NaN is not above anything.
        const auto is_above = [&](std::int64_t k) {
            auto above = two(k) > Two{value, value};
            for (std::int64_t at = 2; at < kBlock; at += 2) above &= two(k + at) > Two{value, value};
            return above[0] != 0 && above[1] != 0;
        };
        double rest = kInfinity;
        for (std::int64_t begin = 0; begin < others_; begin += kBlock) {
            if (begin < whole && is_above(begin)) continue;
            for (std::int64_t k = begin; k < std::min(begin + kBlock, others_); ++k) {
                const double c = sign_ * static_cast<double>(values[k]);
                if (c - prices[k] > value) continue;
                if (!(c > -kInfinity)) return false;
                const double lost = difference(c, prices[k]).rest;
                // NaN stays.
                if (!(lost >= rest) && !std::isnan(rest)) rest = lost;
            }
        }
        least = {value, std::isinf(value) ? 0 : rest};
        return true;
    }

    Outcome first_bad() const {
        for (std::int64_t i = 0; i < given_.rows; ++i)
            for (std::int64_t j = 0; j < given_.columns; ++j) {
                const double c = flips_ ? pair(j, i) : pair(i, j);
                if (!(c > -kInfinity)) return {std::isnan(c) ? Status::nan : Status::invalid, i, j, false};
            }
        return {};
    }

    const MatrixView<T>& given_;
    Buffer<T>& room_;
    bool flips_;
    double sign_;
    Pacer& pacer_;
    std::int64_t lines_ = 0, others_ = 0, line_stride_ = 0, other_stride_ = 1;
};

template <class T>
class StoredCosts {
   public:
    StoredCosts(Rows<T>& rows, const SparseCosts& costs, bool flips, bool maximize, Pacer& pacer)
        : given_(costs), rows_(rows), flips_(flips), maximize_(maximize), pacer_(pacer) {}

    template <class Take>
    Outcome each(const double* prices, const std::int64_t* own, Take&& take) {
        Outcome outcome = rows_.take(given_, flips_, maximize_, pacer_);
        if (flips_) std::swap(outcome.row, outcome.column);
        if (outcome.stopped || outcome.status != Status::ok) return outcome;
        for (std::int64_t line = 0; line < rows_.rows(); ++line) {
            Exact least{kInfinity};
            double pair = kInfinity;
            for (std::int64_t e = rows_.begin(line); e < rows_.end(line); ++e) {
                const auto c = static_cast<double>(rows_[e].cost);
                const Exact x = difference(c, prices[rows_[e].column]);
                // A rest that is NaN stays.
                const bool ties = x.value == least.value && !std::isnan(least.rest);
                if (x.value < least.value || (ties && !(x.rest >= least.rest))) least = x;
                if (rows_[e].column == own[line]) pair = c;
            }
            if (own[line] >= 0 && std::isinf(pair)) return {Status::infeasible, line, own[line], false};
            take(line, least, pair);
            if (!pacer_.proceed(rows_.end(line) - rows_.begin(line) + 1)) return {Status::ok, 0, 0, true};
        }
        return {};
    }

   private:
    const SparseCosts& given_;
    Rows<T>& rows_;
    bool flips_, maximize_;
    Pacer& pacer_;
};

template <class T>
class Worker {
   public:
    Worker(const Options& options, Pulse& pulse) : options_(options), pacer_(pulse) {}

    Outcome bound(const MatrixView<T>& costs, const Claim& claim, double& gap) {
        return bound<DenseCosts<T>>(room_, costs, claim, gap);
    }
    Outcome bound(const SparseCosts& costs, const Claim& claim, double& gap) {
        return bound<StoredCosts<T>>(rows_, costs, claim, gap);
    }

   private:
    template <class Costs, class Room, class Given>
    Outcome bound(Room& room, const Given& given, const Claim& claim, double& gap) {
        gap = kInfinity;
        const bool flips = !options_.has_limit && given.rows > given.columns;
        if (!take_pairs(given.rows, given.columns, flips, claim)) return {};
        const double sign = options_.maximize ? -1 : 1;
        const double limit = find_limit(given.rows, sign, claim.row_dual);
        const bool may_be_free = options_.has_limit || given.rows != given.columns;
        const double* const duals = flips ? claim.row_dual : claim.col_dual;
        bool proves = true;
        Sum distance, excess;
        for (std::size_t other = 0; other < prices_.size(); ++other) {
            double& price = prices_[other] = sign * duals[other];
            if (may_be_free && price > 0) price = 0;
            // The costs are gone through for values that are none.
            if (!std::isfinite(price)) {
                price = 0;
                proves = false;
            }
            if (!is_taken_[other]) distance.add(-price);
        }
        // The total itself may be above the sum of its costs by a rounding.
        excess.add(sign * claim.total);
        Costs costs(room, given, flips, options_.maximize, pacer_);
        const Outcome outcome = costs.each(prices_.data(), own_.data(), [&](std::int64_t line, Exact least, double c) {
            const std::int64_t other = own_[static_cast<std::size_t>(line)];
            Exact pair{limit};
            if (is_less(pair, least)) least = pair;
            if (other >= 0) {
                pair = difference(c, prices_[static_cast<std::size_t>(other)]);
                excess.add(-c);
            }
            const Exact high = difference(pair.value, least.value), low = difference(pair.rest, least.rest);
            for (const double part : {high.value, low.value, high.rest, low.rest}) distance.add(part);
        });
        const Exact both = sum_of(distance.above(), std::max(excess.above(), 0.0));
        const double above = both.rest > 0 ? next(both.value) : both.value;
        // Sums that overflow are infinite or NaN.
        if (proves && above < kInfinity) gap = above > 0 ? above : 0;
        return outcome;
    }

    // The other side of each line's pair. False if the pairs are no matching, or leave of a side that is to be matched.
    bool take_pairs(std::int64_t rows, std::int64_t columns, bool flips, const Claim& claim) {
        own_.assign(static_cast<std::size_t>(flips ? columns : rows), -1);
        prices_.resize(static_cast<std::size_t>(flips ? rows : columns));
        is_taken_.assign(prices_.size(), false);
        has_free_ = false;
        for (std::int64_t i = 0; i < rows; ++i) {
            const std::int64_t j = claim.col_of_row[i];
            if (j < -1 || j >= columns) return false;
            if (j < 0) continue;
            const auto line = static_cast<std::size_t>(flips ? j : i), other = static_cast<std::size_t>(flips ? i : j);
            if (own_[line] >= 0 || is_taken_[other]) return false;
            own_[line] = static_cast<std::int64_t>(other);
            is_taken_[other] = true;
        }
        has_free_ = std::any_of(own_.begin(), own_.end(), [](std::int64_t other) { return other < 0; });
        return options_.has_limit || !has_free_;
    }

    // What a free row costs. Where as many pairs as possible are asked for, any number proves something of matchings of
    // that many pairs; the solver's is the largest dual.
    double find_limit(std::int64_t rows, double sign, const double* row_dual) const {
        if (!options_.has_limit) return kInfinity;
        if (!std::isinf(options_.limit)) return sign * options_.limit;
        if (!has_free_) return kInfinity;
        double limit = -kInfinity;
        for (std::int64_t i = 0; i < rows; ++i) limit = std::max(limit, sign * row_dual[i]);
        return limit;
    }

    const Options& options_;
    Pacer pacer_;
    Buffer<T> room_;
    Rows<T> rows_;
    bool has_free_ = false;
    std::vector<std::int64_t> own_;
    std::vector<double> prices_;
    std::vector<bool> is_taken_;
};

template <class T, class Of>
Run find_all(const std::vector<Claim>& claims, double work, const Options& options, double work_per_thread,
             Pulse& pulse, double* gaps, std::vector<Outcome>& outcomes, Of&& costs_of) {
    outcomes.resize(claims.size());
    return run_batch(
        static_cast<std::int64_t>(claims.size()), work, options.threads, work_per_thread, pulse,
        [&] { return Worker<T>(options, pulse); },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            const auto problem = static_cast<std::size_t>(p);
            outcomes[problem] = worker.bound(costs_of(p), claims[problem], gaps[p]);
            return outcomes[problem].stopped ? p : p + 1;
        });
}

}  // namespace

template <class T>
Run find_gaps(const Ragged& costs, const std::vector<Claim>& claims, const Options& options, double work_per_thread,
              Pulse& pulse, double* gaps, std::vector<Outcome>& outcomes) {
    return find_all<T>(claims, costs.elements(), options, work_per_thread, pulse, gaps, outcomes,
                       [&](std::int64_t p) { return costs.at<T>(p); });
}

template <class T>
Run find_gaps(const std::vector<SparseCosts>& costs, const std::vector<Claim>& claims, const Options& options,
              double work_per_thread, Pulse& pulse, double* gaps, std::vector<Outcome>& outcomes) {
    double work = 0;
    for (const SparseCosts& each : costs) work += static_cast<double>(each.entries + each.rows + each.columns);
    return find_all<T>(claims, work, options, work_per_thread, pulse, gaps, outcomes,
                       [&](std::int64_t p) -> const SparseCosts& { return costs[static_cast<std::size_t>(p)]; });
}

template Run find_gaps<float>(const Ragged&, const std::vector<Claim>&, const Options&, double, Pulse&, double*,
                              std::vector<Outcome>&);
template Run find_gaps<double>(const Ragged&, const std::vector<Claim>&, const Options&, double, Pulse&, double*,
                               std::vector<Outcome>&);
template Run find_gaps<float>(const std::vector<SparseCosts>&, const std::vector<Claim>&, const Options&, double,
                              Pulse&, double*, std::vector<Outcome>&);
template Run find_gaps<double>(const std::vector<SparseCosts>&, const std::vector<Claim>&, const Options&, double,
                               Pulse&, double*, std::vector<Outcome>&);

}  // namespace coalign::assignment
