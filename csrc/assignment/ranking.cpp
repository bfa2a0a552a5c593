// Murty's ranking: the matchings not yet found are split into sets, each by the pairs that it keeps and the one pair
// that it gives up. As Miller, Stone and Cox do it, the best of a set is one shortest path away from the matching that
// the set was split off, whose duals stay feasible.
#include "assignment/ranking.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <utility>

#include "assignment/proved.hpp"
#include "assignment/ranking_kernels.hpp"
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

// Everything is float64, whatever the costs are: in float32, totals that differ only by rounding would come in any
// order.
template <class T>
class Ranker {
   public:
    Ranker(const Kernels<double>& kernels, const Options& options, std::int64_t k, Pulse& pulse)
        : kernels_(kernels),
          lanes_(table_for<RankingKernels>(kernels.isa)),
          options_(options),
          k_(k),
          pacer_(pulse),
          solver_(kernels) {}

    bool solve(const MatrixView<T>& given, Ranking& result) {
        const bool flips = given.rows > given.columns;
        rows_ = flips ? given.columns : given.rows;
        columns_ = flips ? given.rows : given.columns;
        if (!copy(given, flips)) return false;
        free_.assign(static_cast<std::size_t>(stride_), 0);
        forbidden_.assign(static_cast<std::size_t>(stride_), kInfinity);
        Set first;
        result.outcome = find_first(first);
        if (result.outcome.stopped) return false;
        if (flips) std::swap(result.outcome.row, result.outcome.column);
        // The other matchings are measured from the first, whether it could be proved or not.
        return !is_answered(result.outcome.status) || rank(std::move(first), flips, result);
    }

   private:
    using Queue = std::multimap<double, Set>;

    const double* row(std::int64_t i) const { return costs_.data() + i * stride_; }
    template <class Vector>
    static auto& at(Vector& values, std::int64_t k) {
        return values[static_cast<std::size_t>(k)];
    }

    bool copy(const MatrixView<T>& given, bool flips) {
        stride_ = (columns_ + kRankingPad - 1) / kRankingPad * kRankingPad;
        double* const out = costs_.reserve(std::max<std::int64_t>(rows_ * stride_, 1));
        const std::int64_t row_stride = flips ? given.column_stride : given.row_stride;
        const std::int64_t column_stride = flips ? given.row_stride : given.column_stride;
        const double sign = options_.maximize ? -1 : 1;
        for (std::int64_t i = 0; i < rows_; ++i) {
            for (std::int64_t j = 0; j < columns_; ++j)
                out[i * stride_ + j] = sign * static_cast<double>(given.data[i * row_stride + j * column_stride]);
            std::fill(out + i * stride_ + columns_, out + (i + 1) * stride_, kInfinity);
            if (!pacer_.proceed(columns_)) return false;
        }
        return true;
    }

    Outcome find_first(Set& first) {
        const auto rows = static_cast<std::size_t>(rows_), columns = static_cast<std::size_t>(columns_);
        std::vector<std::int64_t> col_of_row(rows), row_of_col(columns);
        std::vector<double> u(rows);
        first.v.assign(static_cast<std::size_t>(stride_), 0);
        const Problem<double> problem{costs_.data(), rows_, columns_, stride_, false, false, 0};
        const Solution<double> solution{col_of_row.data(), row_of_col.data(), u.data(), first.v.data()};
        const Outcome outcome = solver_.solve(problem, solution, Start::cold, pacer_, scans_);
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
        owner_.assign(static_cast<std::size_t>(columns_), kNobody);
        for (std::int64_t i = 0; i < rows_; ++i) at(owner_, at(parent.col_of_row, i)) = static_cast<std::int32_t>(i);
        for (std::int64_t i = parent.kept; i < rows_; ++i) {
            // A matching that cannot be among the cheapest still wanted need not be known.
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

    static constexpr double kClosed = -1;        // as a distance: no other is below 0
    static constexpr std::int32_t kNobody = -1;  // as a row: one of those, of no cost, that have the free columns

    Near relax(const double* costs, const Set& parent, double near, double dual, std::int64_t i) {
        return lanes_.relax(costs, parent.v.data(), stride_, near, dual, i, {distance_.data(), before_.data()});
    }

    // Dijkstra from the row that gave up its column to that column. Free columns belong to rows that cost nothing, so
    // that all are matched: whoever takes one sends its owner to another column. False when the call is to stop.
    bool resolve(const Set& parent, Set& child, double bound, bool& exists) {
        distance_.assign(static_cast<std::size_t>(stride_), kInfinity);
        std::fill(distance_.begin() + columns_, distance_.end(), kClosed);
        before_.resize(static_cast<std::size_t>(stride_));
        reached_.clear();
        for (std::int64_t i = 0; i < child.kept; ++i) at(distance_, at(parent.col_of_row, i)) = kClosed;
        const std::int64_t first = child.kept, sink = at(parent.col_of_row, first);
        // The dual of the pair that was given up; distances are measured from it, so that they say how much the total
        // grows.
        relax(row(first), parent, 0, row(first)[sink] - at(parent.v, sink), first);
        for (const std::int32_t j : child.forbidden) at(distance_, j) = kInfinity;
        std::int64_t taken = -1;  // the first free column on the way
        double taken_at = 0, length = 0;
        for (Near near = relax(forbidden_.data(), parent, 0, 0, kNobody);;) {
            if (!pacer_.proceed(columns_)) return false;
            const auto [distance, j] = near;
            if (!(distance < bound)) return true;
            length = distance;
            if (j == sink) break;
            at(distance_, j) = kClosed;
            reached_.push_back({distance, j});
            const std::int32_t i = at(owner_, j);
            const bool is_free = i == kNobody;
            // All free columns have the same dual, so the ones after the first lead nowhere nearer.
            const double* const costs = !is_free ? row(i) : taken < 0 ? free_.data() : forbidden_.data();
            if (is_free && taken < 0) {
                taken = j;
                taken_at = distance;
            }
            ++scans_.paths;
            near = relax(costs, parent, distance, is_free ? parent.free_dual : row(i)[j] - at(parent.v, j), i);
        }
        exists = true;
        child.v = parent.v;
        for (const Near& near : reached_) at(child.v, near.column) -= length - near.distance;
        child.free_dual = parent.free_dual;
        if (taken >= 0) child.free_dual += length - taken_at;
        child.col_of_row = parent.col_of_row;
        for (std::int64_t j = sink;;) {
            const std::int64_t i = at(before_, j);
            // Its owner takes column j: what matters is who takes the column that it had.
            const std::int64_t had = i == kNobody ? taken : at(child.col_of_row, i);
            if (i != kNobody) at(child.col_of_row, i) = static_cast<std::int32_t>(j);
            if (i == first) return true;
            j = had;
        }
    }

    const Kernels<double>& kernels_;
    const RankingKernels& lanes_;
    const Options& options_;
    std::int64_t k_, rows_ = 0, columns_ = 0, stride_ = 0;  // of a row, whole vectors
    Pacer pacer_;
    Scans scans_;
    Proved<double> solver_;
    Buffer<double> costs_;
    std::vector<std::int32_t> owner_;
    std::vector<std::int64_t> before_;
    std::vector<double> distance_;
    std::vector<double> free_, forbidden_;  // what the owner of a free column pays, and who may have none
    std::vector<Near> reached_;
};

}  // namespace

template <class T>
Run rank(const Kernels<double>& kernels, const Ragged& costs, std::int64_t k, const Options& options,
         double work_per_thread, Pulse& pulse, std::vector<Ranking>& results) {
    return run_batch(
        costs.count, static_cast<double>(k) * costs.elements(), options.threads, work_per_thread, pulse,
        [&] { return Ranker<T>(kernels, options, k, pulse); },
        [&](Ranker<T>& ranker, std::int64_t p, std::int64_t) {
            return ranker.solve(costs.at<T>(p), results[static_cast<std::size_t>(p)]) ? p + 1 : p;
        });
}

template Run rank<float>(const Kernels<double>&, const Ragged&, std::int64_t, const Options&, double, Pulse&,
                         std::vector<Ranking>&);
template Run rank<double>(const Kernels<double>&, const Ragged&, std::int64_t, const Options&, double, Pulse&,
                          std::vector<Ranking>&);

}  // namespace coalign::assignment
