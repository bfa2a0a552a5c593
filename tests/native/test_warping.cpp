// Both engines of dynamic time warping, and their drivers, against the double loop.
//
// The loop does the arithmetic of one cell as the kernels do, and a minimum is exact in any order: so every cost is
// compared bit for bit. That the arithmetic is right to the tolerance is shown by a second loop, from the metric's
// definition and in float64.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "warping/lane_group.hpp"
#include "warping/warping.hpp"
#include "warping_oracle.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::warping;

namespace {

constexpr double kNoLimit = kInfinity<double>;
// What the library promises: in float32 for 10,000 frames.
template <class T>
constexpr double kTolerance = sizeof(T) == 4 ? 1e-4 : 1e-12;

const char* const kMetrics[] = {"sqeuclidean", "euclidean", "cityblock", "cosine", "precomputed"};
const char* const kWindows[] = {"none", "band", "slanted", "rows"};

struct Set {
    Isa isa;
    Arithmetic arithmetic;
    std::string label;
};

std::vector<Set> sets() {
    std::vector<Set> out;
    for (const Isa isa : available_isas())
        out.push_back({isa, isa == Isa::v2 ? Arithmetic::twice : Arithmetic::once, std::string(name(isa)) + " "});
    return out;
}

// What the loops say of one problem.
template <class T>
struct Expected {
    struct Answer {
        T cost;
        Path path;
    };
    Expected(const Case<T>& c, Metric metric, const Window& window)
        : accurate(Lattice<double, T>(c, metric, window, Arithmetic::defined).cost()) {
        for (const Set& set : sets()) {
            if (answers.count(set.arithmetic) > 0) continue;
            Lattice<T, T> lattice(c, metric, window, set.arithmetic);
            answers[set.arithmetic] = {lattice.cost(), lattice.path()};
        }
    }
    const Answer& on(const Set& set) const { return answers.at(set.arithmetic); }

    double accurate;
    std::map<Arithmetic, Answer> answers;
};

// A path from corner to corner inside the window, along which the costs add up to `cost`.
template <class T>
bool is_valid(const Path& path, const Case<T>& c, Metric metric, const Window& window, Arithmetic arithmetic, T cost) {
    T sum = 0;
    std::int64_t last_i = -1, last_j = -1;
    for (const auto& [i, j] : path) {
        const std::int64_t di = i - last_i, dj = j - last_j;
        const bool is_step = last_i < 0 ? i == 0 && j == 0 : di >= 0 && di <= 1 && dj >= 0 && dj <= 1 && di + dj > 0;
        if (!is_step || i >= c.n || j >= c.m || !inside(window, c.n, c.m, i, j)) return false;
        sum = add_cell<T>(metric, arithmetic, c, i, j, sum);
        last_i = i;
        last_j = j;
    }
    return last_i == c.n - 1 && last_j == c.m - 1 && sum == cost;
}

// Problems of one dtype, metric and kind of window, and what is wanted of each.
template <class T>
class Suite {
   public:
    Suite(Metric metric, Window::Kind kind, std::uint64_t seed) : draw_(seed), metric_(metric), kind_(kind) {
        label_ = std::string(sizeof(T) == 4 ? "float32 " : "float64 ") + kMetrics[static_cast<int>(metric)] + " " +
                 kWindows[static_cast<int>(kind)];
    }

    void run() {
        // Three strips of the widest vectors, and many shapes in few blocks.
        for (const auto& [longest, count] : {std::pair{260, 3}, {40, 6}}) {
            draw_problems(longest, count);
            for (const Set& set : sets()) {
                by_strips(set);
                by_lanes(set);
                by_pairs(set, 1, false, kNoLimit);
                for (const bool path : {false, true})
                    for (const double limit : {kNoLimit, middle_cost()}) by_pairs(set, 2, path, limit);
            }
        }
        if (metric_ == Metric::precomputed) return;
        all_pairs(false);
        if (kind_ != Window::Kind::rows) all_pairs(true);
    }

   private:
    void draw_window(std::int64_t n, std::int64_t m) {
        window_ = {kind_, draw_.chance(0.1) ? 1000 : draw_.integer(0, 20), nullptr};
        if (kind_ != Window::Kind::rows) return;
        rows_ = draw_.rows(n, m);
        window_.rows = rows_.data();
    }

    void draw_problems(std::int64_t longest, int count) {
        const double kind_of_dim = draw_.normal();
        dim_ = metric_ == Metric::precomputed || kind_of_dim < -0.2 ? 1
               : kind_of_dim < 0.7                                  ? draw_.integer(2, 5)
                                                                    : draw_.integer(15, 18);
        const std::int64_t n = draw_.length(longest), m = draw_.length(longest);
        draw_window(n, m);
        cases_.clear();
        expected_.clear();
        for (int p = 0; p < count; ++p) {
            // Bounds given row by row fit one shape only, and lanes of one shape take a shorter way.
            const bool own_shape = kind_ != Window::Kind::rows && p > 1;
            cases_.push_back(draw_.problem<T>(metric_, own_shape ? draw_.length(longest) : n,
                                              own_shape ? draw_.length(longest) : m, dim_));
            expected_.emplace_back(cases_.back(), metric_, window_);
        }
    }

    std::string name_of(const Set& set, const char* engine, std::size_t p) const {
        const Case<T>& c = cases_[p];
        return set.label + label_ + " " + std::to_string(window_.radius) + ", " + engine + ", " + std::to_string(c.n) +
               " x " + std::to_string(c.m) + " x " + std::to_string(c.dim);
    }

    void check_cost(T cost, const Set& set, std::size_t p, const std::string& label) const {
        check(cost == expected_[p].on(set).cost, label + ": cost");
        const double wanted = expected_[p].accurate;
        if (cost == kInfinity<T>) check(wanted == kInfinity<double>, label + ": infinite");
        else check(std::abs(static_cast<double>(cost) - wanted) <= kTolerance<T> * wanted, label + ": accuracy");
    }

    void by_strips(const Set& set) {
        // With all checkpoints of a path in memory, and with those of one group of strips only.
        for (const std::int64_t checkpoint_bytes : {kCheckpointBytes, std::int64_t{0}}) {
            const Options options{metric_, window_, kNoLimit, 1, checkpoint_bytes};
            Pulse pulse(nullptr);
            Pacer pacer(pulse);
            // One engine for all problems, as a worker has.
            Strips<T> strips(kernels_for<T>(set.isa), options, dim_, pacer);
            for (std::size_t p = 0; p < cases_.size(); ++p) by_strips(set, strips, p);
        }
    }

    void by_strips(const Set& set, Strips<T>& strips, std::size_t p) {
        const std::string label = name_of(set, "strips", p);
        const Case<T>& c = cases_[p];
        const auto bare = strips.run(c.problem(), nullptr);
        check(!bare.stopped, label + ": runs to its end");
        check_cost(bare.cost, set, p, label);

        PathRoom room(c.n, c.m);
        ReversePath reverse = room.reverse();
        const auto traced = strips.run(c.problem(), &reverse);
        check(traced.cost == bare.cost && traced.status == bare.status, label + ": the same with a path");
        const Path path = forward(reverse);
        check(traced.cost == kInfinity<T> ? path.empty()
                                          : is_valid(path, c, metric_, window_, set.arithmetic, traced.cost),
              label + ": a valid path that costs what is said");
        check(path == expected_[p].on(set).path, label + ": ties go to the diagonal, then to x");
    }

    void by_lanes(const Set& set) {
        if (metric_ == Metric::precomputed) return;
        const Options options{metric_, window_, kNoLimit, 1};
        Pulse pulse(nullptr);
        Pacer pacer(pulse);
        const Kernels<T>& kernels = kernels_for<T>(set.isa);
        LaneGroup<T> lanes(kernels, options, dim_, pacer);
        std::vector<std::size_t> order(cases_.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        for (int round = 0; round < 3; ++round) {
            for (std::size_t begin = 0; begin < order.size();) {
                // The first two, of one shape, by themselves in the first round.
                const std::int64_t most = round == 0 ? 2 : kernels.width;
                const auto left = static_cast<std::int64_t>(order.size() - begin);
                const std::int64_t count = std::min(round == 0 ? most : draw_.integer(1, most), left);
                std::vector<Pair<T>> pairs;
                for (std::size_t k = begin; k < begin + static_cast<std::size_t>(count); ++k)
                    pairs.push_back({cases_[order[k]].problem().x, cases_[order[k]].problem().y});
                std::vector<T> costs(pairs.size(), T(-1));
                check(lanes.run(pairs.data(), static_cast<int>(count), costs.data()), "lanes run to their end");
                for (std::size_t k = 0; k < costs.size(); ++k)
                    check_cost(costs[k], set, order[begin + k], name_of(set, "lanes", order[begin + k]));
                begin += costs.size();
            }
            std::reverse(order.begin(), order.end());
        }
    }

    // The driver of pairs. A cost is infinite if it exceeds the limit, and has no path then.
    void by_pairs(const Set& set, int threads, bool path, double limit) {
        // Each problem a few times over, so that there are whole groups, and tasks for every thread.
        const std::size_t copies = path ? 1 : 4, count = copies * cases_.size();
        std::vector<Problem<T>> problems;
        std::vector<PathRoom> rooms;
        std::vector<ReversePath> paths;
        for (std::size_t k = 0; k < count; ++k) {
            const Case<T>& c = cases_[k % cases_.size()];
            problems.push_back(c.problem());
            rooms.emplace_back(c.n, c.m);
            paths.push_back(rooms.back().reverse());
        }
        std::vector<T> cost(count, T(-1));
        std::vector<Status> status(count, Status::invalid);
        Pulse pulse(nullptr);
        const PairTables<T> tables(problems, dim_);
        const Run run = warp_pairs<T>(kernels_for<T>(set.isa), tables.pairs, {metric_, window_, limit, threads}, 0,
                                      pulse, cost.data(), status.data(), path ? paths.data() : nullptr);
        check(!run.stopped && run.workers >= 1 && run.workers <= threads, label_ + ": run");
        for (std::size_t k = 0; k < count; ++k) {
            const std::size_t p = k % cases_.size();
            const std::string label = name_of(set, path ? "pairs with paths" : "pairs", p);
            const auto& wanted = expected_[p].on(set);
            const bool exceeds = static_cast<double>(wanted.cost) > limit;
            if (exceeds) check(cost[k] == kInfinity<T>, label + ": exceeds the limit");
            else check_cost(cost[k], set, p, label);
            check(status[k] == wanted_status(p, set, limit), label + ": status");
            if (path) check(forward(paths[k]) == (exceeds ? Path{} : wanted.path), label + ": path");
        }
    }

    // An infinite cost is for want of room in the window, or within the limit beyond the dtype. Of a matrix it may also
    // be that its infinite entries leave no path, which the caller can tell.
    Status wanted_status(std::size_t p, const Set& set, double limit) const {
        const T cost = expected_[p].on(set).cost;
        if (cost < kInfinity<T>) return Status::ok;
        Case<T> free = cases_[p];
        std::fill(free.matrix.begin(), free.matrix.end(), T(0));
        if (Lattice<T, T>(free, metric_, window_, set.arithmetic).cost() == kInfinity<T>) return Status::infeasible;
        return limit < kNoLimit && metric_ != Metric::precomputed ? Status::ok : Status::precision_limit;
    }

    // A limit that some of the problems reach exactly and that others exceed.
    double middle_cost() const {
        std::vector<double> costs;
        for (const Expected<T>& expected : expected_)
            costs.push_back(static_cast<double>(expected.on(sets().back()).cost));
        std::sort(costs.begin(), costs.end());
        return costs[costs.size() / 2];
    }

    void all_pairs(bool symmetric) {
        const std::int64_t dim = draw_.integer(1, 3), one_length = draw_.length(20);
        const auto collection = [&](int count) {
            std::vector<std::vector<T>> series;
            for (int i = 0; i < count; ++i)
                series.push_back(
                    draw_.series<T>(kind_ == Window::Kind::rows ? one_length : draw_.integer(1, 24), dim, metric_));
            return series;
        };
        const auto views = [&](const std::vector<std::vector<T>>& series) {
            std::vector<Series<T>> out;
            for (const auto& item : series) out.push_back({item.data(), static_cast<std::int64_t>(item.size()) / dim});
            return out;
        };
        // Past the 16 of a block either way.
        const auto xs = collection(19), ys = symmetric ? xs : collection(18);
        draw_window(one_length, one_length);
        std::map<Arithmetic, std::vector<T>> expected;
        for (const Set& set : sets()) {
            std::vector<T>& costs = expected[set.arithmetic];
            if (!costs.empty()) continue;
            for (const Series<T>& x : views(xs))
                for (const Series<T>& y : views(ys)) {
                    const Case<T> c{x.length,
                                    y.length,
                                    dim,
                                    0,
                                    {x.data, x.data + x.length * dim},
                                    {y.data, y.data + y.length * dim},
                                    {}};
                    costs.push_back(Lattice<T, T>(c, metric_, window_, set.arithmetic).cost());
                }
        }
        for (const Set& set : sets()) {
            for (const int threads : {1, 2}) {
                const std::size_t stride = ys.size() + 3;
                constexpr T untouched = -5;
                std::vector<T> out((xs.size() - 1) * stride + ys.size(), untouched);
                Pulse pulse(nullptr);
                const SeriesTable<T> rows(views(xs), dim), columns(views(ys), dim);
                const Run run = warp_all_pairs<T>(kernels_for<T>(set.isa), rows.batch, columns.batch, symmetric,
                                                  {metric_, window_, kNoLimit, threads}, 0, pulse, out.data(),
                                                  static_cast<std::int64_t>(stride));
                const std::string label = set.label + label_ + (symmetric ? ", all of one" : ", all of two");
                check(!run.stopped && run.workers >= 1 && run.workers <= threads, label + ": run");
                for (std::size_t at = 0; at < out.size(); ++at) {
                    const std::size_t i = at / stride, j = at % stride;
                    const T wanted = j < ys.size() ? expected[set.arithmetic][i * ys.size() + j] : untouched;
                    check(out[at] == wanted, label);
                }
            }
        }
    }

    Draw draw_;
    Metric metric_;
    Window::Kind kind_;
    Window window_;
    std::vector<std::int64_t> rows_;
    std::string label_;
    std::int64_t dim_ = 1;
    std::vector<Case<T>> cases_;
    std::vector<Expected<T>> expected_;
};

// Long enough for a strip to be run again from several of its snapshots, and for several groups of strips.
template <class T>
void long_paths() {
    Draw draw(11);
    struct Shape {
        std::int64_t n, m;
        Window window;
    };
    const Window band{Window::Kind::band, 9, nullptr}, slanted{Window::Kind::slanted, 15, nullptr};
    for (const auto& [n, m, window] :
         {Shape{40, 1500, {}}, {1500, 40, {}}, {5, 1000, {}}, {1000, 1, {}}, {500, 450, band}, {400, 500, slanted}}) {
        for (const Metric metric : {Metric::sqeuclidean, Metric::precomputed}) {
            const Case<T> c = draw.problem<T>(metric, n, m, 1);
            const Expected<T> expected(c, metric, window);
            for (const Set& set : sets()) {
                for (const std::int64_t checkpoint_bytes : {kCheckpointBytes, std::int64_t{0}}) {
                    const Options options{metric, window, kNoLimit, 1, checkpoint_bytes};
                    Pulse pulse(nullptr);
                    Pacer pacer(pulse);
                    Strips<T> strips(kernels_for<T>(set.isa), options, 1, pacer);
                    PathRoom room(n, m);
                    ReversePath reverse = room.reverse();
                    const auto result = strips.run(c.problem(), &reverse);
                    const std::string label = set.label + std::to_string(n) + " x " + std::to_string(m);
                    check(result.cost == expected.on(set).cost, label + ": cost");
                    check(forward(reverse) == expected.on(set).path, label + ": path");
                }
            }
        }
    }
}

template <class T>
void statuses() {
    const T huge = std::numeric_limits<T>::max() / 4, nan = std::numeric_limits<T>::quiet_NaN();
    for (const Set& set : sets()) {
        const auto expect = [&](const char* label, const Case<T>& c, Metric metric, const Window& window, Status wanted,
                                T wanted_cost) {
            Pulse pulse(nullptr);
            T cost = -1;
            Status status = Status::invalid;
            warp_pairs<T>(kernels_for<T>(set.isa), PairTables<T>({c.problem()}, 1).pairs, {metric, window, kNoLimit, 1},
                          1e6, pulse, &cost, &status, nullptr);
            check(status == wanted && (wanted == Status::nan || cost == wanted_cost), set.label + label);
        };
        const Case<T> far{2, 2, 1, 0, {huge, huge}, {-huge, -huge}, {}};
        expect("overflow", far, Metric::sqeuclidean, {}, Status::precision_limit, kInfinity<T>);
        expect("large", far, Metric::cityblock, {}, Status::ok, huge * 4);
        const Case<T> tight{3, 4, 1, 0, {1, 2, 3}, {1, 2, 3, 4}, {}};
        expect("no room", tight, Metric::sqeuclidean, {Window::Kind::slanted, 0, nullptr}, Status::infeasible,
               kInfinity<T>);
        for (const T wrong : {nan, -kInfinity<T>})
            expect("no cost", {2, 3, 1, 3, {}, {}, {0, 1, wrong, 2, 0, 1}}, Metric::precomputed, {}, Status::nan, nan);
        expect("negative", {2, 2, 1, 2, {}, {}, {-1, -2, 5, -4}}, Metric::precomputed, {}, Status::ok, T(-7));
    }
}

// A cost that the first cell reaches and no other adds to, so that every row holds the limit itself.
template <class T>
void limit_reached_at_once() {
    Case<T> c{300, 300, 1, 0, std::vector<T>(300, T(1)), std::vector<T>(300, T(1)), {}};
    c.x[0] = 3;
    for (const Set& set : sets()) {
        // By strips, and by lanes.
        for (const std::size_t count : std::initializer_list<std::size_t>{1, 40}) {
            for (const double limit : {4.0, 3.9}) {
                const PairTables<T> tables(std::vector<Problem<T>>(count, c.problem()), 1);
                std::vector<T> cost(count, T(-1));
                std::vector<Status> status(count, Status::invalid);
                Pulse pulse(nullptr);
                warp_pairs<T>(kernels_for<T>(set.isa), tables.pairs, {Metric::sqeuclidean, {}, limit, 1}, 1e6, pulse,
                              cost.data(), status.data(), nullptr);
                const T wanted = limit < 4 ? kInfinity<T> : T(4);
                check(std::count(cost.begin(), cost.end(), wanted) == static_cast<std::ptrdiff_t>(count),
                      set.label + "the limit itself, " + std::to_string(count));
            }
        }
    }
}

// Stops the call at the first question, and notes when.
class Stopper final : public Monitor {
   public:
    bool keep_going(std::int64_t) override {
        asked_at = std::chrono::steady_clock::now();
        return false;
    }
    std::chrono::steady_clock::time_point asked_at{};
};

// Calls that would take minutes: each engine, by itself and beside another thread.
template <class T>
void stops() {
    constexpr std::int64_t length = 200'000, medium = 5'000;
    const std::vector<T> values(length, T(1));
    std::vector<T> other = values;  // a series and its copy need no engine
    other[0] = 2;
    const Kernels<T>& kernels = kernels_for<T>(choose_isa(""));
    const std::vector<Problem<T>> two(2, {{values.data(), length}, {other.data(), length}});
    const std::vector<Problem<T>> hundred(100, {{values.data(), medium}, {other.data(), medium}});
    const std::vector<Series<T>> long_series(2, {values.data(), length}), series(100, {values.data(), medium});
    std::vector<T> cost(100 * 100);
    std::vector<Status> status(100);
    PathRoom first(length, length), second(length, length);
    std::vector<ReversePath> paths{first.reverse(), second.reverse()};
    for (const int threads : {1, 2}) {
        const Options options{Metric::sqeuclidean, {}, kNoLimit, threads};
        const auto expect_stop = [&](const std::string& label, auto&& call) {
            Stopper stopper;
            Pulse pulse(&stopper);
            const Run run = call(pulse);
            const auto late = std::chrono::steady_clock::now() - stopper.asked_at;
            check(run.stopped, label + " stop");
            // Far looser than the promised 100 ms: sanitizers and emulators are slow.
            check(late < std::chrono::seconds(5), label + " stop in time");
        };
        const auto expect_pairs_stop = [&](const std::string& label, const std::vector<Problem<T>>& problems,
                                           ReversePath* room) {
            expect_stop(label, [&](Pulse& pulse) {
                return warp_pairs<T>(kernels, PairTables<T>(problems, 1).pairs, options, 0, pulse, cost.data(),
                                     status.data(), room);
            });
        };
        expect_pairs_stop("long pairs", two, nullptr);
        expect_pairs_stop("long pairs with paths", two, paths.data());
        expect_pairs_stop("groups of pairs", hundred, nullptr);
        const auto expect_all_stop = [&](const std::string& label, const std::vector<Series<T>>& xs, bool symmetric) {
            expect_stop(label, [&](Pulse& pulse) {
                const SeriesTable<T> table(xs, 1);
                return warp_all_pairs<T>(kernels, table.batch, table.batch, symmetric, options, 0, pulse, cost.data(),
                                         100);
            });
        };
        expect_all_stop("all pairs", series, true);
        expect_all_stop("all pairs of the long", long_series, false);
    }
}

// Overwrites a matrix in the middle of a call, once that has run for a while.
template <class T>
class Spoiler final : public Monitor {
   public:
    Spoiler(std::vector<T>& values, T value, std::chrono::nanoseconds after)
        : values_(values), value_(value), due_(std::chrono::steady_clock::now() + after) {}
    bool keep_going(std::int64_t) override {
        if (std::chrono::steady_clock::now() >= due_) std::fill(values_.begin(), values_.end(), value_);
        return true;
    }

   private:
    std::vector<T>& values_;
    const T value_;
    const std::chrono::steady_clock::time_point due_;
};

// A path stays in its lattice and ends, though the numbers it is traced by are not those of the forward pass.
template <class T>
void spoilt_while_traced() {
    constexpr std::int64_t n = 3000, m = 1700;
    const T nan = std::numeric_limits<T>::quiet_NaN();
    const Kernels<T>& kernels = kernels_for<T>(choose_isa(""));
    for (const Window& window : {Window{}, Window{Window::Kind::band, 300, nullptr}}) {
        // Checkpoints by groups: the forward pass is run again while the path is traced.
        const Options options{Metric::precomputed, window, kNoLimit, 1, 0};
        for (const T value : {nan, kInfinity<T>, T(-1)}) {
            Case<T> c{n, m, 1, m, {}, {}, std::vector<T>(n * m, T(1))};
            std::chrono::nanoseconds forward{};
            for (const double after : {0.0, 1.1, 1.5}) {
                Spoiler<T> spoiler(c.matrix, value,
                                   after > 0 ? std::chrono::nanoseconds(
                                                   static_cast<long>(after * static_cast<double>(forward.count())))
                                             : std::chrono::hours(1));
                Pulse pulse(&spoiler);
                Pacer pacer(pulse);
                Strips<T> strips(kernels, options, 1, pacer);
                PathRoom room(n, m);
                ReversePath path = room.reverse();
                const auto start = std::chrono::steady_clock::now();
                check(!strips.run(c.problem(), after > 0 ? &path : nullptr).stopped, "spoilt while traced: ends");
                if (!(after > 0)) forward = std::chrono::steady_clock::now() - start;
                for (std::int64_t k = 0; k < path.length; ++k)
                    check(inside(window, n, m, path.x[k], path.y[k]) && path.x[k] >= 0 && path.y[k] >= 0,
                          "spoilt while traced: inside");
                if (path.length == 0) continue;
                check(path.x[path.length - 1] == 0 && path.y[path.length - 1] == 0, "spoilt while traced: first cell");
            }
        }
    }
}

template <class T>
void all() {
    using Kind = Window::Kind;
    std::uint64_t seed = 1;
    for (const int metric : {0, 1, 2, 3, 4})
        for (const Kind kind : {Kind::none, Kind::band, Kind::slanted, Kind::rows})
            Suite<T>(static_cast<Metric>(metric), kind, ++seed).run();
    long_paths<T>();
    statuses<T>();
    limit_reached_at_once<T>();
    spoilt_while_traced<T>();
    stops<T>();
}

}  // namespace

int main() {
    all<float>();
    all<double>();
    return report();
}
