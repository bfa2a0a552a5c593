#include "warping/search.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <deque>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "warping/best.hpp"
#include "warping/bounds.hpp"
#include "warping/lane_flow.hpp"
#include "warping/lane_group.hpp"

namespace coalign::warping {
namespace {

enum Stage { kEnds, kEnvelope, kReversed, kImproved, kAbandoned, kWarped };

template <class T>
class Searcher {
   public:
    // So many queries meet a series of the database while it is in the cache.
    static constexpr std::int64_t kTogether = 8;

    Searcher(Isa isa, const Ragged& queries, const Ragged& database, const Options& options, std::deque<Best<T>>& bests,
             std::int64_t count, Pulse& pulse)
        : queries_(queries),
          database_(database),
          bests_(bests),
          count_(count),
          options_(options),
          dim_(database.columns),
          kernels_(kernels_for<T>(isa)),
          bound_kernels_(table_for<BoundKernels<T>>(isa)),
          pulse_(pulse),
          pacer_(pulse),
          bounds_(bound_kernels_, options_, dim_) {
        length_ = database.rows_of(0);
        for (std::int64_t c = 1; c < database.count && database.row_lengths != nullptr; ++c)
            if (database.rows_of(c) != length_) length_ = 0;
    }

    // Queries [begin, end) in a part of the database: these series, or all of them in their order if it names none.
    // False when the call was stopped.
    bool run(std::int64_t begin, std::int64_t end, const std::vector<std::int64_t>& part) {
        part_ = &part;
        std::vector<Asked*> bounded, plain;
        for (std::int64_t q = begin; q < end; ++q) {
            Asked& asked = asked_[static_cast<std::size_t>(q - begin)];
            asked.query.series = {queries_.begin_of<T>(q), queries_.rows_of(q)};
            asked.query.candidate_length = 0;
            asked.done.clear();
            asked.best = &bests_[static_cast<std::size_t>(q)];
            asked.stages.fill(0);
            bool repay = true;
            if (!try_bounds(asked, repay)) return false;
            (repay ? bounded : plain).push_back(&asked);
        }
        return run_bounded(bounded, plain) && run_plain(plain);
    }

   private:
    // A bound and whose it is, by the place in the part; the least comes first, and of equal ones the earlier place.
    struct Bounded {
        T bound;
        std::int64_t place;
        bool operator<(const Bounded& other) const {
            return bound != other.bound ? bound > other.bound : place > other.place;
        }
    };
    struct Asked {
        Query<T> query;
        std::vector<Bounded> heap;
        std::vector<std::uint8_t> done;  // by place: whether it is settled, where some are before the others
        Best<T>* best;
        Stages stages;

        bool is_done(std::int64_t place) const { return !done.empty() && done[static_cast<std::size_t>(place)] != 0; }
        void warped(std::int64_t candidate, T cost) {
            ++stages[kWarped];
            best->offer(cost, candidate);
        }
    };
    class Source;

    Series<T> series(std::int64_t candidate) const {
        return {database_.begin_of<T>(candidate), database_.rows_of(candidate)};
    }
    std::int64_t size() const { return part_->empty() ? database_.count : static_cast<std::int64_t>(part_->size()); }
    std::int64_t candidate(std::int64_t place) const {
        return part_->empty() ? place : (*part_)[static_cast<std::size_t>(place)];
    }

    T first_bound(Query<T>& query, Series<T> y) {
        if (bounds_.has_envelopes()) {
            bounds_.prepare(query, y.length);
            return bounds_.keogh(query, y);
        }
        constexpr double most = std::numeric_limits<T>::max();
        return static_cast<T>(std::min(bounds_.ends(query.series, y), most));
    }

    bool flows(Series<T> x) const {
        return length_ > 0 && LaneFlow<T>::suits(kernels_, options_, dim_, x.length, length_);
    }

    // Whether bounds are worth the time that they and their order take, as far as some of the candidates show. Of
    // those, the ones that the bounds put first are warped. False when the call was stopped.
    bool try_bounds(Asked& asked, bool& repay) {
        const Series<T> x = asked.query.series;
        const Effort effort = effort_of(x.length);
        const std::int64_t width = kernels_.width, sampled = std::min(size() / 4, kSample);
        repay = flows(x) || effort.lattice > kFewTimes * (effort.bound + effort.order);
        if (repay || sampled < 2 * width) return true;

        const std::int64_t stride = size() / sampled;
        std::array<std::pair<T, std::int64_t>, kSample> sample;
        for (std::int64_t s = 0; s < sampled; ++s)
            sample[static_cast<std::size_t>(s)] = {first_bound(asked.query, series(candidate(s * stride))), s * stride};
        std::nth_element(sample.begin(), sample.begin() + width - 1, sample.begin() + sampled);
        std::array<Pair<T>, kMostLanes> pairs;
        std::array<T, kMostLanes> costs;
        const auto lanes = static_cast<std::size_t>(width);
        for (std::size_t l = 0; l < lanes; ++l) pairs[l] = {x, series(candidate(sample[l].second))};
        options_.max_cost = std::numeric_limits<double>::infinity();
        if (!groups().run(pairs.data(), kernels_.width, costs.data())) return false;
        asked.done.assign(static_cast<std::size_t>(size()), 0);
        for (std::size_t l = 0; l < lanes; ++l) {
            asked.done[static_cast<std::size_t>(sample[l].second)] = 1;
            asked.warped(candidate(sample[l].second), costs[l]);
        }
        // The k-th of all is about as near as this one of the sample.
        const std::int64_t rank = std::min((count_ * sampled - 1) / database_.count, width - 1);
        std::nth_element(costs.begin(), costs.begin() + rank, costs.begin() + width);
        const auto limit = static_cast<double>(costs[static_cast<std::size_t>(rank)]);
        std::int64_t left = 0;
        for (auto s = lanes; s < static_cast<std::size_t>(sampled); ++s) {
            const Margin margin = bounds_.margin(x.length, series(candidate(sample[s].second)).length);
            if (margin(static_cast<double>(sample[s].first)) > limit) ++left;
        }
        const double stay = 1 - static_cast<double>(left) / static_cast<double>(sampled - width);
        repay = effort.bound + stay * (effort.order + effort.lattice) < effort.lattice;
        return pacer_.proceed(static_cast<std::int64_t>(effort.bound) * sampled);
    }

    // What each candidate takes, in vector operations: its first bound, to be taken in the order of the bounds, and its
    // lattice.
    struct Effort {
        double bound, order, lattice;
    };
    Effort effort_of(std::int64_t n) const {
        const auto rows = static_cast<double>(n), dim = static_cast<double>(dim_);
        const auto columns = static_cast<double>(series(candidate(size() / 2)).length);
        const double width = kernels_.width, elements = columns * dim;
        constexpr double call = 60, pop = 300, line = 40;
        return {call + (bounds_.has_envelopes() ? 6 * elements / width : 4 * dim),
                pop + line * elements * static_cast<double>(sizeof(T)) / 64,
                rows * window_width(options_.window, rows, columns) * (dim_ == 1 ? 4 : 2 * dim + 3) / width};
    }

    // Bounds every candidate for each of the queries, and goes through them in the order of the bounds. Adds to `plain`
    // the queries for which that turns out not to repay.
    bool run_bounded(const std::vector<Asked*>& all, std::vector<Asked*>& plain) {
        for (Asked* const asked : all) asked->heap.resize(static_cast<std::size_t>(size()));
        for (std::int64_t place = 0; place < size() && !all.empty(); ++place) {
            const Series<T> y = series(candidate(place));
            for (Asked* const asked : all) {
                asked->heap[static_cast<std::size_t>(place)] = {first_bound(asked->query, y), place};
                if (!pacer_.proceed(y.length * dim_ / kernels_.width + 1)) return false;
            }
        }
        for (Asked* const asked : all) {
            std::vector<Bounded>& heap = asked->heap;
            if (!asked->done.empty()) std::erase_if(heap, [&](const Bounded& b) { return asked->is_done(b.place); });
            std::make_heap(heap.begin(), heap.end());
            if (!search(*asked)) return false;
            if (heap.empty()) finish(*asked);
            else plain.push_back(asked);
        }
        return true;
    }

    // Goes on until none is left, or until it shows that the order is not worth its time.
    bool search(Asked& asked) {
        Source source(*this, asked);
        const Series<T> x = asked.query.series;
        return flows(x) ? flow().run(x, length_, reach_of(options_.window, x.length, length_), source)
                        : run_groups(asked, source);
    }

    // A group after the other, each under the limit that those before have left.
    bool run_groups(Asked& asked, Source& source) {
        std::array<Pair<T>, kMostLanes> pairs;
        std::array<std::int64_t, kMostLanes> which;
        std::array<T, kMostLanes> costs;
        for (int groups_done = 0;; ++groups_done) {
            if (groups_done == kFirstGroups && !source.repays(effort_of(asked.query.series.length))) {
                asked.done.assign(static_cast<std::size_t>(size()), 1);
                for (const Bounded& left : asked.heap) asked.done[static_cast<std::size_t>(left.place)] = 0;
                return true;
            }
            int count = 0;
            while (count < kernels_.width) {
                const auto at = static_cast<std::size_t>(count);
                pairs[at].x = asked.query.series;
                which[at] = source.next(pairs[at].y, rest_);
                if (which[at] < 0) break;
                ++count;
            }
            if (count == 0) return true;
            options_.max_cost = asked.best->limit();
            const bool is_limited = options_.max_cost < std::numeric_limits<double>::infinity();
            if (!groups().run(pairs.data(), count, costs.data())) return false;
            for (std::size_t p = 0; p < static_cast<std::size_t>(count); ++p) {
                // A group says inf of those that it has left on the way.
                if (is_limited && !(costs[p] < std::numeric_limits<T>::infinity())) ++asked.stages[kAbandoned];
                else asked.warped(which[p], costs[p]);
            }
        }
    }

    // Warps the queries to all candidates, in their own order: a group of them is packed once.
    bool run_plain(const std::vector<Asked*>& all) {
        std::array<Pair<T>, kMostLanes> pairs;
        std::array<T, kMostLanes> costs;
        options_.max_cost = std::numeric_limits<double>::infinity();
        for (std::int64_t begin = 0; begin < size() && !all.empty(); begin += kernels_.width) {
            const std::int64_t count = std::min<std::int64_t>(kernels_.width, size() - begin);
            for (Asked* const asked : all) {
                for (std::int64_t p = 0; p < count; ++p)
                    pairs[static_cast<std::size_t>(p)] = {asked->query.series, series(candidate(begin + p))};
                const bool is_packed = asked != all.front();
                if (!groups().run(pairs.data(), static_cast<int>(count), costs.data(), is_packed)) return false;
                for (std::int64_t p = 0; p < count; ++p)
                    if (!asked->is_done(begin + p))
                        asked->warped(candidate(begin + p), costs[static_cast<std::size_t>(p)]);
            }
        }
        for (Asked* const asked : all) finish(*asked);
        return true;
    }

    void finish(const Asked& asked) {
        asked.best->add(asked.stages);
        pulse_.add_done(size());
    }

    LaneFlow<T>& flow() {
        return flow_ ? *flow_
                     : flow_.emplace(kernels_, bound_kernels_, local_cost(options_.metric, dim_), dim_, pacer_);
    }
    LaneGroup<T>& groups() { return groups_ ? *groups_ : groups_.emplace(kernels_, options_, dim_, pacer_); }

    // How many times as long as a bound and its order a lattice takes at most, for the bounds to be tried on so many
    // candidates before all are bounded; else the first groups in the order of the bounds show as much.
    static constexpr double kFewTimes = 4;
    static constexpr std::int64_t kSample = 64;
    static constexpr int kFirstGroups = 4;

    const Ragged &queries_, &database_;
    std::deque<Best<T>>& bests_;
    std::int64_t count_;  // of neighbours
    Options options_;
    std::int64_t dim_;
    std::int64_t length_ = 0;  // of all series of the database, or 0
    const Kernels<T>& kernels_;
    const BoundKernels<T>& bound_kernels_;
    Pulse& pulse_;
    Pacer pacer_;
    Bounds<T> bounds_;
    const std::vector<std::int64_t>* part_ = nullptr;
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
    Source(Searcher& searcher, Asked& asked) : searcher_(searcher), asked_(asked) {}

    // Whether what is left out, as far as one has seen, outweighs what the order of those that stay takes.
    bool repays(const typename Searcher::Effort& effort) {
        double settled = 0, stay = 0;
        for (const std::int64_t many : asked_.stages) settled += static_cast<double>(many);
        for (const Bounded& next : asked_.heap) {
            const std::int64_t candidate = searcher_.candidate(next.place);
            take_length(searcher_.series(candidate).length);
            if (!excludes(static_cast<double>(next.bound), candidate)) ++stay;
        }
        const Stages& stages = asked_.stages;
        const auto left =
            static_cast<double>(stages[kReversed] + stages[kImproved]) + static_cast<double>(stages[kAbandoned]) / 4;
        const double out = static_cast<double>(asked_.heap.size()) - stay + stay * left / settled;
        return out * effort.lattice >= stay * effort.order;
    }

    std::int64_t next(Series<T>& y, std::vector<double>& rest) override {
        std::vector<Bounded>& heap = asked_.heap;
        const bool has_envelopes = searcher_.bounds_.has_envelopes();
        while (!heap.empty()) {
            const auto [bound, place] = heap.front();
            const std::int64_t candidate = searcher_.candidate(place);
            y = searcher_.series(candidate);
            take_length(y.length);
            if (excludes(static_cast<double>(bound), candidate)) {
                // With one length for all, the others' bounds are no lower and their numbers no better.
                const bool is_last = searcher_.length_ > 0;
                asked_.stages[has_envelopes ? kEnvelope : kEnds] +=
                    is_last ? static_cast<std::int64_t>(heap.size()) : 1;
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

    void warped(std::int64_t candidate, T cost) override { asked_.warped(candidate, cost); }

    bool is_beyond(std::int64_t candidate, double cost) override {
        if (!excludes(cost, candidate)) return false;
        ++asked_.stages[kAbandoned];
        return true;
    }

   private:
    bool excludes(double least, std::int64_t candidate) const {
        return asked_.best->excludes(margin_(least), candidate);
    }

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
            ++asked_.stages[kReversed];
            return true;
        }
        if (improved_.asks(wide) && excludes(bounds.improved(asked_.query, y), candidate)) {
            improved_.add_left();
            ++asked_.stages[kImproved];
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
        const Series<T> next = searcher_.series(searcher_.candidate(heap.front().place));
        const auto* const bytes = reinterpret_cast<const char*>(next.data);
        const std::int64_t size = next.length * searcher_.dim_ * static_cast<std::int64_t>(sizeof(T));
        for (std::int64_t at = 0; at < std::min(size, kAhead); at += 64) __builtin_prefetch(bytes + at);
    }

    static constexpr std::int64_t kAhead = 1 << 10;

    Searcher& searcher_;
    Asked& asked_;
    Margin margin_;
    std::int64_t length_ = 0;
    Trial reversed_, improved_;
};

// Deals the series to so many parts, those of one length side by side. A part of them all, in their order, stays empty.
std::vector<std::vector<std::int64_t>> deal(const Ragged& database, std::int64_t parts) {
    std::vector<std::vector<std::int64_t>> dealt(static_cast<std::size_t>(parts));
    if (parts == 1 && database.row_lengths == nullptr) return dealt;
    const std::vector<std::int64_t> order = by_length(database);
    for (std::size_t at = 0; at < order.size(); ++at) dealt[at / kMostLanes % dealt.size()].push_back(order[at]);
    return dealt;
}

}  // namespace

template <class T>
Run find_nearest(Isa isa, const Ragged& queries, const Ragged& database, const Options& options, double work_per_thread,
                 Pulse& pulse, const Neighbors& found, T* cost) {
    const double work = queries.elements() * database.elements() / static_cast<double>(queries.columns);
    const int threads = useful_threads(work, options.threads, work_per_thread);
    // Queries that are fewer than the threads are searched for in parts of the database, under one limit.
    constexpr auto least_part = static_cast<std::int64_t>(kMostLanes);
    const std::int64_t each = (threads + queries.count - 1) / std::max<std::int64_t>(queries.count, 1);
    const std::int64_t parts =
        std::clamp<std::int64_t>(each, 1, std::max<std::int64_t>(database.count / least_part, 1));
    // No more than so many bounds are kept at once, and every thread has queries of its own.
    constexpr std::int64_t most_bounds = 1 << 21;
    const std::int64_t share = (queries.count + threads - 1) / std::max(threads, 1);
    const std::int64_t together = std::clamp<std::int64_t>(
        std::min(share, most_bounds / std::max<std::int64_t>(database.count, 1)), 1, Searcher<T>::kTogether);
    const std::int64_t batches = (queries.count + together - 1) / together;

    const std::vector<std::vector<std::int64_t>> dealt = deal(database, parts);
    std::deque<Best<T>> bests;
    for (std::int64_t q = 0; q < queries.count; ++q) bests.emplace_back(found.count);
    const Run run = run_tasks(
        batches * parts, threads, pulse,
        [&] { return Searcher<T>(isa, queries, database, options, bests, found.count, pulse); },
        [&](Searcher<T>& searcher, std::int64_t task) {
            const std::int64_t begin = task / parts * together, end = std::min(begin + together, queries.count);
            return searcher.run(begin, end, dealt[static_cast<std::size_t>(task % parts)]);
        });
    for (std::int64_t q = 0; q < queries.count && !run.stopped; ++q)
        bests[static_cast<std::size_t>(q)].take(found.index + q * found.count, found.stages + q * kSearchStages,
                                                cost + q * found.count);
    return run;
}

template Run find_nearest(Isa, const Ragged&, const Ragged&, const Options&, double, Pulse&, const Neighbors&, float*);
template Run find_nearest(Isa, const Ragged&, const Ragged&, const Options&, double, Pulse&, const Neighbors&, double*);

}  // namespace coalign::warping
