// Murty's ranking: the matchings not yet found are split into sets, each by the pairs that it keeps and the one pair
// that it gives up. As Miller, Stone and Cox do it, the best of a set is one shortest path away from the matching that
// the set was split off, whose duals stay feasible.
#include "assignment/ranking.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <utility>

#include "core/buffer.hpp"

namespace coalign::assignment {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The matchings that keep the columns of the first `kept` rows and give up `forbidden` columns in the next one; and the
// best of them, with its duals.
struct Set {
    std::vector<std::int32_t> col_of_row;
    std::vector<double> v;
    double free_dual = 0;
    std::int64_t kept = 0;
    std::vector<std::int32_t> forbidden;
};

// All in float64, whatever the costs are: totals that differ in float32 only by rounding would come in any order.
template <class T>
class Ranker {
   public:
    Ranker(const Kernels<double>& kernels, const Options& options, std::int64_t k, Pulse& pulse)
        : kernels_(kernels), options_(options), k_(k), pacer_(pulse) {}

    bool solve(const Costs<T>& given, Ranking& result) {
        const bool flips = given.rows > given.columns;
        rows_ = flips ? given.columns : given.rows;
        columns_ = flips ? given.rows : given.columns;
        if (!copy(given, flips)) return false;
        Set first;
        result.outcome = find_first(first);
        if (result.outcome.stopped) return false;
        if (flips) std::swap(result.outcome.row, result.outcome.column);
        if (result.outcome.status == Status::infeasible) result.outcome = {};
        else if (result.outcome.status == Status::ok) return rank(std::move(first), flips, result);
        return true;
    }

    Scans scans;

   private:
    using Queue = std::multimap<double, Set>;

    const double* row(std::int64_t i) const { return costs_.data() + i * columns_; }
    template <class Vector>
    static auto& at(Vector& values, std::int64_t k) {
        return values[static_cast<std::size_t>(k)];
    }

    bool copy(const Costs<T>& given, bool flips) {
        double* const out = costs_.reserve(std::max<std::int64_t>(rows_ * columns_, 1));
        const std::int64_t row_stride = flips ? given.column_stride : given.row_stride;
        const std::int64_t column_stride = flips ? given.row_stride : given.column_stride;
        const double sign = options_.maximize ? -1 : 1;
        for (std::int64_t i = 0; i < rows_; ++i) {
            for (std::int64_t j = 0; j < columns_; ++j)
                out[i * columns_ + j] = sign * static_cast<double>(given.data[i * row_stride + j * column_stride]);
            if (!pacer_.proceed(columns_)) return false;
        }
        return true;
    }

    Outcome find_first(Set& first) {
        const auto rows = static_cast<std::size_t>(rows_), columns = static_cast<std::size_t>(columns_);
        std::vector<std::int64_t> col_of_row(rows), row_of_col(columns);
        std::vector<double> u(rows);
        first.v.assign(columns, 0);
        const Problem<double> problem{costs_.data(), rows_, columns_, columns_, false, false, 0};
        const Solution<double> solution{col_of_row.data(), row_of_col.data(), u.data(), first.v.data()};
        double* const workspace = workspace_.reserve(kernels_.workspace(rows_, columns_));
        const Outcome outcome = kernels_.solve(problem, solution, workspace, pacer_, scans, false);
        first.col_of_row.assign(col_of_row.begin(), col_of_row.end());
        return outcome;
    }

    double total(const Set& set) const {
        double sum = 0;
        for (std::int64_t i = 0; i < rows_; ++i) sum += row(i)[at(set.col_of_row, i)];
        return sum;
    }

    bool rank(Set first, bool flips, Ranking& result) {
        Queue queue;
        std::vector<std::pair<double, std::vector<std::int32_t>>> found;
        const double least = total(first);
        queue.emplace(least, std::move(first));
        while (!queue.empty()) {
            auto best = queue.extract(queue.begin());
            const auto wanted = static_cast<std::size_t>(k_) - found.size() - 1;
            if (wanted > 0 && !split(best.key(), best.mapped(), wanted, queue)) return false;
            // A child's total may be less than its parent's by a rounding.
            const auto place = std::upper_bound(found.begin(), found.end(), best.key(),
                                                [](double sum, const auto& other) { return sum < other.first; });
            found.emplace(place, best.key(), std::move(best.mapped().col_of_row));
            if (wanted == 0) break;
        }
        for (std::size_t n = 0; n < found.size(); ++n)
            write(found[n].second, static_cast<std::int64_t>(n), flips, result);
        return true;
    }

    void write(const std::vector<std::int32_t>& col_of_row, std::int64_t n, bool flips, Ranking& result) const {
        const double sign = options_.maximize ? -1 : 1;
        std::int64_t* const out = result.col_of_row + n * result.room;
        double sum = 0;
        for (std::int64_t i = 0; i < rows_; ++i) {
            const std::int64_t j = at(col_of_row, i);
            out[flips ? j : i] = flips ? i : j;
            sum += sign * row(i)[j];
        }
        result.total[n] = sum;
    }

    // One set for each row past those kept: it keeps one row more than the one before, and gives up the next pair.
    bool split(double parent_total, const Set& parent, std::size_t wanted, Queue& queue) {
        for (std::int64_t i = parent.kept; i < rows_; ++i) {
            // What is not among the cheapest still wanted need not be known.
            const bool full = queue.size() >= wanted;
            const double bound = full ? std::prev(queue.end())->first - parent_total : kInfinity;
            Set child;
            child.kept = i;
            if (i == parent.kept) child.forbidden = parent.forbidden;
            child.forbidden.push_back(at(parent.col_of_row, i));
            bool exists = false;
            if (!resolve(parent, child, bound, exists)) return false;
            if (!exists) continue;
            const double sum = total(child);
            queue.emplace(sum, std::move(child));
            if (queue.size() > wanted) queue.erase(std::prev(queue.end()));
        }
        return true;
    }

    static constexpr std::int32_t kNobody = -1;  // as a row: one of those, of no cost, that have the free columns

    // Dijkstra from the row that gave up its column to that column. Free columns belong to rows that cost nothing, so
    // that all are matched: whoever takes one sends its owner to another column. False when the call is to stop.
    bool resolve(const Set& parent, Set& child, double bound, bool& exists) {
        const auto columns = static_cast<std::size_t>(columns_);
        owner_.assign(columns, kNobody);
        for (std::int64_t i = 0; i < rows_; ++i) at(owner_, at(parent.col_of_row, i)) = static_cast<std::int32_t>(i);
        distance_.assign(columns, kInfinity);
        before_.assign(columns, kNobody);
        closed_.assign(columns, 0);
        for (std::int64_t i = 0; i < child.kept; ++i) at(closed_, at(parent.col_of_row, i)) = 1;
        const std::int64_t first = child.kept, sink = at(parent.col_of_row, first);
        // Its own dual was that of the pair given up; distances are taken against it, to be what the total grows by.
        const double first_dual = row(first)[sink] - at(parent.v, sink);
        std::int64_t taken = -1;  // the first free column on the way
        for (std::int64_t j = 0; j < columns_; ++j) {
            if (at(closed_, j)) continue;
            at(distance_, j) = std::max(row(first)[j] - at(parent.v, j) - first_dual, 0.0);
            at(before_, j) = static_cast<std::int32_t>(first);
        }
        for (const std::int32_t j : child.forbidden) at(distance_, j) = kInfinity;
        for (;;) {
            std::int64_t j = -1;
            double near = kInfinity;
            for (std::int64_t k = 0; k < columns_; ++k) {
                if (at(closed_, k) || !(at(distance_, k) < near)) continue;
                near = at(distance_, k);
                j = k;
            }
            if (!pacer_.proceed(columns_)) return false;
            if (j < 0 || !(near < bound)) return true;
            if (j == sink) break;
            at(closed_, j) = 1;
            const std::int32_t i = at(owner_, j);
            if (i == kNobody && taken >= 0) continue;
            if (i == kNobody) taken = j;
            const double dual = i == kNobody ? parent.free_dual : row(i)[j] - at(parent.v, j);
            ++scans.paths;
            for (std::int64_t k = 0; k < columns_; ++k) {
                if (at(closed_, k)) continue;
                const double cost = i == kNobody ? 0.0 : row(i)[k];
                const double x = near + std::max(cost - at(parent.v, k) - dual, 0.0);
                if (!(x < at(distance_, k))) continue;
                at(distance_, k) = x;
                at(before_, k) = i;
            }
        }
        exists = true;
        const double length = at(distance_, sink);
        child.v = parent.v;
        for (std::int64_t i = 0; i < child.kept; ++i) at(distance_, at(parent.col_of_row, i)) = kInfinity;
        for (std::int64_t j = 0; j < columns_; ++j)
            if (at(distance_, j) < length) at(child.v, j) -= length - at(distance_, j);
        child.free_dual = parent.free_dual;
        if (taken >= 0) child.free_dual += length - at(distance_, taken);
        child.col_of_row = parent.col_of_row;
        for (std::int64_t j = sink;;) {
            const std::int32_t i = at(before_, j);
            // Its owner is given column j: what matters is who takes the one it had.
            const std::int64_t had = i == kNobody ? taken : at(child.col_of_row, i);
            if (i != kNobody) at(child.col_of_row, i) = static_cast<std::int32_t>(j);
            if (i == first) return true;
            j = had;
        }
    }

    const Kernels<double>& kernels_;
    const Options& options_;
    std::int64_t k_, rows_ = 0, columns_ = 0;
    Pacer pacer_;
    Buffer<double> costs_, workspace_;
    std::vector<std::int32_t> owner_, before_;
    std::vector<double> distance_;
    std::vector<char> closed_;
};

}  // namespace

template <class T>
Run rank(const Kernels<double>& kernels, const std::vector<Costs<T>>& problems, std::int64_t k, const Options& options,
         double work_per_thread, Pulse& pulse, std::vector<Ranking>& results) {
    double work = 0;
    for (const Costs<T>& costs : problems)
        work += static_cast<double>(k) * static_cast<double>(costs.rows) * static_cast<double>(costs.columns);
    Scans scans;
    return solve_each(
        static_cast<std::int64_t>(problems.size()), work, work_per_thread, options.threads, pulse, scans,
        [&] { return std::make_unique<Ranker<T>>(kernels, options, k, pulse); },
        [&](Ranker<T>& ranker, std::size_t p) { return ranker.solve(problems[p], results[p]); });
}

template Run rank(const Kernels<double>&, const std::vector<Costs<float>>&, std::int64_t, const Options&, double,
                  Pulse&, std::vector<Ranking>&);
template Run rank(const Kernels<double>&, const std::vector<Costs<double>>&, std::int64_t, const Options&, double,
                  Pulse&, std::vector<Ranking>&);

}  // namespace coalign::assignment
