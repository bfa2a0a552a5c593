// The search for a query inside a long series, against the double loop over every stretch of the series.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "stopper.hpp"
#include "warping/subsequence.hpp"
#include "warping_oracle.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::warping;

namespace {

const Metric kMetrics[] = {Metric::sqeuclidean, Metric::euclidean, Metric::cityblock, Metric::cosine};

// Vectors of exactly the series' size: a sanitizer sees what is read past them. Small integers make ties.
template <class T>
Case<T> random_case(std::mt19937& rng, std::int64_t n, std::int64_t m, std::int64_t dim) {
    Case<T> out;
    out.n = n;
    out.m = m;
    out.dim = dim;
    std::uniform_int_distribution<int> number(-2, 2);
    for (std::vector<T>* side : {&out.x, &out.y}) {
        side->resize(static_cast<std::size_t>((side == &out.x ? n : m) * dim));
        for (T& value : *side) value = static_cast<T>(number(rng)) / 4;
    }
    return out;
}

template <class T>
Pairs pair_of(const Case<T>& c) {
    Ragged x, y;
    x.data = c.x.data();
    y.data = c.y.data();
    x.count = y.count = 1;
    x.rows = c.n;
    y.rows = c.m;
    x.columns = y.columns = x.row_stride = y.row_stride = c.dim;
    return {x, y};
}

// The stretch of frames [start, stop) alone.
template <class T>
T cost_of(const Case<T>& c, Metric metric, Arithmetic arithmetic, std::int64_t start, std::int64_t stop) {
    Case<T> cut = c;
    cut.m = stop - start;
    cut.y.assign(c.y.begin() + start * c.dim, c.y.begin() + stop * c.dim);
    return Lattice<T, T>(cut, metric, {}, arithmetic).cost();
}

template <class T>
void test_matches() {
    std::mt19937 rng(7);
    for (int trial = 0; trial < (few() ? 12 : 60); ++trial) {
        const std::int64_t dim = std::vector<std::int64_t>{1, 1, 2, 17}[static_cast<std::size_t>(trial % 4)];
        const auto size = [&](int most) { return std::uniform_int_distribution<std::int64_t>(1, most)(rng); };
        const Case<T> c = random_case<T>(rng, size(trial % 3 == 0 ? 90 : 20), size(24), dim);
        const Metric metric = kMetrics[trial / 4 % 4];
        for (const Isa isa : available_isas()) {
            const std::string label = std::string(name(isa)) + " trial " + std::to_string(trial);
            const Arithmetic arithmetic = isa == Isa::v2 ? Arithmetic::twice : Arithmetic::once;
            Options options;
            options.metric = metric;
            Pulse pulse(nullptr);
            std::vector<Match> found;
            Status status = Status::invalid;
            const Run run = find_matches<T>(isa, pair_of(c), options, 4, 1e6, pulse, &found, &status);
            check(!run.stopped && !found.empty() && found.size() <= 4, label + ": run");
            check(status == (found.size() == 4 ? Status::ok : Status::infeasible), label + ": status");
            for (std::size_t k = 0; k < found.size(); ++k) {
                const Match& match = found[k];
                check(match.cost == static_cast<double>(cost_of(c, metric, arithmetic, match.start, match.stop)),
                      label + ": cost");
                for (std::int64_t a = 0; a < match.stop; ++a)
                    check(static_cast<double>(cost_of(c, metric, arithmetic, a, match.stop)) >= match.cost,
                          label + ": start");
                for (std::size_t other = 0; other < k; ++other) {
                    check(found[other].cost <= match.cost, label + ": order");
                    check(found[other].stop <= match.start || match.stop <= found[other].start, label + ": overlap");
                }
            }
            // Before the first match, no stretch at all is cheaper, and none as cheap ends earlier.
            for (std::int64_t stop = 1; stop <= c.m; ++stop)
                for (std::int64_t a = 0; a < stop; ++a) {
                    const auto cost = static_cast<double>(cost_of(c, metric, arithmetic, a, stop));
                    check(stop < found[0].stop ? cost > found[0].cost : cost >= found[0].cost, label + ": best");
                }
        }
    }
}

template <class T>
void test_stopping() {
    std::mt19937 rng(8);
    const Case<T> c = random_case<T>(rng, 400, 30'000, 1);
    for (const Isa isa : available_isas()) {
        Stopper stopper;
        Pulse pulse(&stopper);
        std::vector<Match> found;
        Status status = Status::invalid;
        // The pulse asks its monitor every 20 ms.
        Run run;
        for (int call = 0; call < 1000 && !run.stopped; ++call)
            run = find_matches<T>(isa, pair_of(c), {}, 1, 1e6, pulse, &found, &status);
        check(run.stopped, "stopped");
    }
}

template <class T>
void test_all() {
    test_matches<T>();
    test_stopping<T>();
}

}  // namespace

int main() {
    test_all<float>();
    test_all<double>();
    return report();
}
