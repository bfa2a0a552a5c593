#include "warping/search.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "warping/bounds.hpp"
#include "warping/lane_flow.hpp"
#include "warping/lane_group.hpp"

namespace coalign::warping {
namespace {

enum Stage { kEnds, kEnvelope, kReversed, kImproved, kAbandoned, kWarped };

// The best so far: the greatest of them is in front. Of equal costs the one with the lower number is better.
template <class T>
class Best {
   public:
    explicit Best(std::int64_t count) : count_(static_cast<std::size_t>(count)) {}

    void offer(T cost, std::int64_t candidate) {
        if (!(cost < std::numeric_limits<T>::infinity())) return;
        if (best_.size() == count_) {
            if (std::pair(cost, candidate) > best_.front()) return;
            std::pop_heap(best_.begin(), best_.end());
            best_.pop_back();
        }
        best_.emplace_back(cost, candidate);
        std::push_heap(best_.begin(), best_.end());
    }

    // What a better one may cost at most.
    double limit() const {
        return best_.size() < count_ ? std::numeric_limits<double>::infinity()
                                     : static_cast<double>(best_.front().first);
    }

    // Whether a candidate that costs at least so much is none of the best.
    bool excludes(double least, std::int64_t candidate) const {
        if (best_.size() < count_) return false;
        const auto worst = static_cast<double>(best_.front().first);
        return least > worst || (least == worst && candidate > best_.front().second);
    }

    // Writes them in order.
    void take(std::int64_t* index, T* cost) {
        std::sort_heap(best_.begin(), best_.end());
        for (std::size_t k = 0; k < count_; ++k) {
            const bool has = k < best_.size();
            index[k] = has ? best_[k].second : -1;
            cost[k] = has ? best_[k].first + T(0) : std::numeric_limits<T>::infinity();
        }
    }

   private:
    std::size_t count_;
    std::vector<std::pair<T, std::int64_t>> best_;
};

template <class T>
class Searcher {
   public:
    // So many queries meet a series of the database while it is in the cache.
    static constexpr std::int64_t kTogether = 8;

    Searcher(Isa isa, const Ragged& queries, const Ragged& database, const Options& options, const Neighbors& found,
             T* cost, Pulse& pulse)
        : queries_(queries),
          database_(database),
          found_(found),
          cost_(cost),
          options_(options),
          dim_(database.columns),
          kernels_(kernels_for<T>(isa)),
          bound_kernels_(table_for<BoundKernels<T>>(isa)),
          pulse_(pulse),
          pacer_(pulse),
          bounds_(bound_kernels_, options_, dim_) {
        length_ = database.rows_of(0);
        for (std::int64_t c = 1; c < database.count; ++c)
            if (database.rows_of(c) != length_) length_ = 0;
    }

    // Queries [begin, end). False when the call was stopped.
    bool run(std::int64_t begin, std::int64_t end) {
        if (!bound_all(begin, end)) return false;
        for (std::int64_t q = begin; q < end; ++q) {
            if (!search(q, asked_[static_cast<std::size_t>(q - begin)])) return false;
            pulse_.add_done(database_.count);
        }
        return true;
    }

   private:
    // A bound and whose it is; the least comes first, and of equal ones the lower number.
    struct Bounded {
        T bound;
        std::int64_t candidate;
        bool operator<(const Bounded& other) const {
            return bound != other.bound ? bound > other.bound : candidate > other.candidate;
        }
    };
    struct Asked {
        Query<T> query;
        std::vector<Bounded> heap;
    };
    class Source;

    Series<T> series(std::int64_t candidate) const {
        return {database_.begin_of<T>(candidate), database_.rows_of(candidate)};
    }

    T first_bound(Query<T>& query, Series<T> y) {
        if (bounds_.has_envelopes()) {
            bounds_.prepare(query, y.length);
            return bounds_.keogh(query, y);
        }
        constexpr double most = std::numeric_limits<T>::max();
        return static_cast<T>(std::min(bounds_.ends(query.series, y), most));
    }

    // Bounds every candidate for each of the queries.
    bool bound_all(std::int64_t begin, std::int64_t end) {
        for (std::int64_t q = begin; q < end; ++q) {
            Asked& asked = asked_[static_cast<std::size_t>(q - begin)];
            asked.query.series = {queries_.begin_of<T>(q), queries_.rows_of(q)};
            asked.query.candidate_length = 0;
            asked.heap.resize(static_cast<std::size_t>(database_.count));
        }
        for (std::int64_t c = 0; c < database_.count; ++c) {
            const Series<T> y = series(c);
            for (std::int64_t q = begin; q < end; ++q) {
                Asked& asked = asked_[static_cast<std::size_t>(q - begin)];
                asked.heap[static_cast<std::size_t>(c)] = {first_bound(asked.query, y), c};
                if (!pacer_.proceed(y.length * dim_ / kernels_.width + 1)) return false;
            }
        }
        for (std::int64_t q = begin; q < end; ++q) {
            std::vector<Bounded>& heap = asked_[static_cast<std::size_t>(q - begin)].heap;
            std::make_heap(heap.begin(), heap.end());
        }
        return true;
    }

    bool search(std::int64_t q, Asked& asked) {
        std::int64_t* const stages = found_.stages + q * kSearchStages;
        std::fill_n(stages, kSearchStages, std::int64_t{0});
        Source source(*this, asked, stages);
        const Series<T> x = asked.query.series;
        const bool flows = length_ > 0 && LaneFlow<T>::suits(kernels_, options_, dim_, x.length, length_);
        const bool whole = flows ? flow().run(x, length_, reach_of(options_.window, x.length, length_), source)
                                 : run_groups(x, source);
        if (!whole) return false;
        source.best().take(found_.index + q * found_.count, cost_ + q * found_.count);
        return true;
    }

    // A group after the other, each under the limit that those before have left.
    bool run_groups(Series<T> x, Source& source) {
        std::array<Pair<T>, kMostLanes> pairs;
        std::array<std::int64_t, kMostLanes> which;
        std::array<T, kMostLanes> costs;
        for (;;) {
            int count = 0;
            while (count < kernels_.width) {
                const auto at = static_cast<std::size_t>(count);
                pairs[at].x = x;
                which[at] = source.next(pairs[at].y, rest_);
                if (which[at] < 0) break;
                ++count;
            }
            if (count == 0) return true;
            options_.max_cost = source.best().limit();
            if (!groups().run(pairs.data(), count, costs.data())) return false;
            for (std::size_t p = 0; p < static_cast<std::size_t>(count); ++p) source.warped(which[p], costs[p]);
        }
    }

    LaneFlow<T>& flow() {
        return flow_ ? *flow_
                     : flow_.emplace(kernels_, bound_kernels_, local_cost(options_.metric, dim_), dim_, pacer_);
    }
    LaneGroup<T>& groups() { return groups_ ? *groups_ : groups_.emplace(kernels_, options_, dim_, pacer_); }

    const Ragged &queries_, &database_;
    const Neighbors& found_;
    T* cost_;
    Options options_;
    std::int64_t dim_;
    std::int64_t length_ = 0;  // of all series of the database, or 0
    const Kernels<T>& kernels_;
    const BoundKernels<T>& bound_kernels_;
    Pulse& pulse_;
    Pacer pacer_;
    Bounds<T> bounds_;
    std::array<Asked, kTogether> asked_;
    std::vector<double> rest_;
    std::optional<LaneFlow<T>> flow_;
    std::optional<LaneGroup<T>> groups_;
};

// Whether a bound leaves out enough candidates to be worth its time, as far as the query has shown.
class Trial {
   public:
    // Whether to try the next candidate, whose rows have so many cells. The bound takes as long as kCost cells of each
    // row; now and then one is tried that does not look worth it, because the nearest come first.
    bool asks(std::int64_t wide) {
        constexpr std::int64_t first = 32, now_and_then = 16;
        const bool is_due = ++turn_ % now_and_then == 0 || tried_ < first || left_ * wide >= kCost * tried_;
        if (is_due) ++tried_;
        return is_due;
    }
    void add_left() { ++left_; }

   private:
    static constexpr std::int64_t kCost = 30;
    std::int64_t turn_ = 0, tried_ = 0, left_ = 0;
};

// The candidates of one query in the order of their bounds, as long as they may be among the best.
template <class T>
class Searcher<T>::Source final : public Candidates<T> {
   public:
    Source(Searcher& searcher, Asked& asked, std::int64_t* stages)
        : searcher_(searcher), asked_(asked), stages_(stages), best_(searcher.found_.count) {}

    Best<T>& best() { return best_; }

    std::int64_t next(Series<T>& y, std::vector<double>& rest) override {
        std::vector<Bounded>& heap = asked_.heap;
        const bool has_envelopes = searcher_.bounds_.has_envelopes();
        while (!heap.empty()) {
            const auto [bound, candidate] = heap.front();
            y = searcher_.series(candidate);
            take_length(y.length);
            if (excludes(static_cast<double>(bound), candidate)) {
                // With one length for all, the others' bounds are no lower and their numbers no better.
                const bool is_last = searcher_.length_ > 0;
                stages_[has_envelopes ? kEnvelope : kEnds] += is_last ? static_cast<std::int64_t>(heap.size()) : 1;
                if (is_last) heap.clear();
                else pop();
                continue;
            }
            pop();
            rest.clear();
            if (has_envelopes && is_left(y, candidate, rest)) continue;
            return candidate;
        }
        return -1;
    }

    void warped(std::int64_t candidate, T cost) override {
        // A group says inf of those that it has left on the way.
        const bool left =
            !(cost < std::numeric_limits<T>::infinity()) && best_.limit() < std::numeric_limits<double>::infinity();
        ++stages_[left ? kAbandoned : kWarped];
        best_.offer(cost, candidate);
    }

    bool is_beyond(std::int64_t candidate, double cost) override {
        if (!excludes(cost, candidate)) return false;
        ++stages_[kAbandoned];
        return true;
    }

   private:
    bool excludes(double least, std::int64_t candidate) const { return best_.excludes(margin_(least), candidate); }

    void take_length(std::int64_t length) {
        if (length == length_) return;
        length_ = length;
        margin_ = searcher_.bounds_.margin(asked_.query.series.length, length);
    }

    // Whether the closer bounds leave a candidate out; else what they know of its rows.
    bool is_left(Series<T> y, std::int64_t candidate, std::vector<double>& rest) {
        Bounds<T>& bounds = searcher_.bounds_;
        bounds.prepare(asked_.query, y.length);
        const Reach reach = asked_.query.reach;
        const std::int64_t wide = std::min(reach.before + reach.after + 1, y.length);
        if (!reversed_.asks(wide)) return false;
        if (excludes(bounds.reversed(asked_.query, y), candidate)) {
            reversed_.add_left();
            ++stages_[kReversed];
            return true;
        }
        if (improved_.asks(wide) && excludes(bounds.improved(asked_.query, y), candidate)) {
            improved_.add_left();
            ++stages_[kImproved];
            return true;
        }
        rest = bounds.rest();
        return false;
    }

    void pop() {
        std::vector<Bounded>& heap = asked_.heap;
        std::pop_heap(heap.begin(), heap.end());
        heap.pop_back();
        if (heap.empty()) return;
        // The next one is anywhere in memory.
        const Series<T> next = searcher_.series(heap.front().candidate);
        const auto* const bytes = reinterpret_cast<const char*>(next.data);
        const std::int64_t size = next.length * searcher_.dim_ * static_cast<std::int64_t>(sizeof(T));
        for (std::int64_t at = 0; at < std::min(size, kAhead); at += 64) __builtin_prefetch(bytes + at);
    }

    static constexpr std::int64_t kAhead = 1 << 10;

    Searcher& searcher_;
    Asked& asked_;
    std::int64_t* stages_;
    Best<T> best_;
    Margin margin_;
    std::int64_t length_ = 0;
    Trial reversed_, improved_;
};

}  // namespace

template <class T>
Run find_nearest(Isa isa, const Ragged& queries, const Ragged& database, const Options& options, double work_per_thread,
                 Pulse& pulse, const Neighbors& found, T* cost) {
    const double work = queries.elements() * database.elements() / static_cast<double>(queries.columns);
    const int threads = useful_threads(work, options.threads, work_per_thread);
    // No more than so many bounds are kept at once, and every thread has queries of its own.
    constexpr std::int64_t most_bounds = 1 << 21;
    const std::int64_t share = (queries.count + threads - 1) / std::max(threads, 1);
    const std::int64_t together = std::clamp<std::int64_t>(
        std::min(share, most_bounds / std::max<std::int64_t>(database.count, 1)), 1, Searcher<T>::kTogether);
    return run_tasks((queries.count + together - 1) / together, threads, pulse,
                     [&] { return Searcher<T>(isa, queries, database, options, found, cost, pulse); },
                     [&](Searcher<T>& searcher, std::int64_t task) {
                         return searcher.run(task * together, std::min((task + 1) * together, queries.count));
                     });
}

template Run find_nearest(Isa, const Ragged&, const Ragged&, const Options&, double, Pulse&, const Neighbors&, float*);
template Run find_nearest(Isa, const Ragged&, const Ragged&, const Options&, double, Pulse&, const Neighbors&, double*);

}  // namespace coalign::warping
