// Searches against the costs of all pairs, and every bound against the cost that it is a bound of.
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "stopper.hpp"
#include "warping/bounds.hpp"
#include "warping/search.hpp"
#include "warping/warping.hpp"
#include "warping_oracle.hpp"

using namespace coalign;
using namespace coalign::testing;

namespace {

// Series with memory of their own, of exactly their size: a sanitizer sees what is read past it.
template <class T>
struct Collection {
    std::vector<std::vector<T>> series;
    RaggedTable table;
    Ragged batch;

    Collection(Draw& draw, Metric metric, std::int64_t count, std::int64_t longest, std::int64_t dim, bool is_ragged)
        : table(count) {
        const std::int64_t one = draw.length(longest);
        for (std::int64_t p = 0; p < count; ++p) {
            const std::int64_t length = is_ragged ? draw.length(longest) : one;
            if (p > 0 && !is_ragged && draw.chance(0.2)) series.push_back(series.front());
            else series.push_back(draw.template series<T>(length, dim, metric));
        }
        for (const std::vector<T>& values : series)
            table.add(MatrixView<T>{values.data(), static_cast<std::int64_t>(values.size()) / dim, dim, dim, 1});
        batch = table.series(dim);
    }
    Series<T> at(std::int64_t p) const { return {batch.begin_of<T>(p), batch.rows_of(p)}; }
};

template <class T>
void test_search(Isa isa, Draw& draw, Metric metric) {
    const std::int64_t dim = draw.chance(0.6) ? 1 : draw.integer(2, 18), longest = few() ? 40 : 90;
    // Bounds are tried on large databases alone.
    const std::int64_t asked = draw.integer(1, 20), most = draw.chance(few() ? 0.05 : 0.3) ? 300 : few() ? 20 : 60;
    const std::int64_t held = draw.integer(1, most);
    const bool is_ragged = draw.chance(0.4);
    const Collection<T> queries(draw, metric, asked, longest, dim, is_ragged);
    const Collection<T> database(draw, metric, held, longest, dim, is_ragged);
    Options options;
    options.metric = metric;
    options.threads = static_cast<int>(draw.integer(1, 5));
    constexpr std::array kinds{Window::Kind::none, Window::Kind::band, Window::Kind::band, Window::Kind::slanted};
    options.window = {kinds[static_cast<std::size_t>(draw.integer(0, 3))], draw.integer(0, 20)};
    const std::int64_t count = draw.integer(1, std::min<std::int64_t>(held, 5));
    const auto size = static_cast<std::size_t>(asked * count);
    std::vector<std::int64_t> index(size, -7), stages(static_cast<std::size_t>(asked * kSearchStages), -7);
    std::vector<T> cost(size, T(-7)), all(static_cast<std::size_t>(asked * held));
    Pulse pulse(nullptr);
    static_cast<void>(find_nearest<T>(isa, queries.batch, database.batch, options, 0, pulse,
                                      {count, index.data(), stages.data()}, cost.data()));
    static_cast<void>(warp_all_pairs<T>(kernels_for<T>(isa), queries.batch, database.batch, false, options, 0, pulse,
                                        all.data(), held));
    for (std::int64_t q = 0; q < asked; ++q) {
        const T* const row = all.data() + q * held;
        std::vector<std::int64_t> order(static_cast<std::size_t>(held));
        std::iota(order.begin(), order.end(), std::int64_t{0});
        std::sort(order.begin(), order.end(),
                  [&](std::int64_t a, std::int64_t b) { return row[a] != row[b] ? row[a] < row[b] : a < b; });
        const std::string what = std::string(name(isa)) + " query " + std::to_string(q);
        for (std::int64_t k = 0; k < count; ++k) {
            const auto at = static_cast<std::size_t>(q * count + k);
            const std::int64_t wanted = order[static_cast<std::size_t>(k)];
            check(cost[at] == row[wanted], what);
            check(index[at] == (row[wanted] < kInfinity<T> ? wanted : -1), what);
        }
        const auto begin = stages.begin() + q * kSearchStages;
        check(std::accumulate(begin, begin + kSearchStages, std::int64_t{0}) == held, what);
        check(*std::min_element(begin, begin + kSearchStages) >= 0, what);
    }
}

// Every bound holds for the cost as it is computed, and what is left to pay never grows from block to block.
template <class T>
void test_bounds(Isa isa, Draw& draw, Metric metric) {
    const std::int64_t dim = draw.chance(0.6) ? 1 : draw.integer(2, 18);
    const Collection<T> pair(draw, metric, 2, few() ? 40 : 150, dim, draw.chance(0.5));
    Options options;
    options.metric = metric;
    options.window = {draw.chance(0.3) ? Window::Kind::none : Window::Kind::band, draw.integer(0, 12)};
    const Series<T> x = pair.at(0), y = pair.at(1);
    Pulse pulse(nullptr);
    T cost = 0;
    Status status = Status::ok;
    RaggedTable first(1), second(1);
    first.add(MatrixView<T>{x.data, x.length, dim, dim, 1});
    second.add(MatrixView<T>{y.data, y.length, dim, dim, 1});
    static_cast<void>(warp_pairs<T>(kernels_for<T>(isa), {first.series(dim), second.series(dim)}, options, 0, pulse,
                                    &cost, &status, nullptr));
    Bounds<T> bounds(table_for<BoundKernels<T>>(isa), options, dim);
    const Margin margin = bounds.margin(x.length, y.length);
    const auto holds = [&](double bound, const char* what) { check(margin(bound) <= static_cast<double>(cost), what); };
    holds(bounds.ends(x, y), "ends");
    if (!bounds.has_envelopes()) return;
    Query<T> query;
    query.series = x;
    bounds.prepare(query, y.length);
    for (std::int64_t j = 0; j < y.length; ++j) {
        for (std::int64_t d = 0; d < dim; ++d) {
            T least = kInfinity<T>, most = -kInfinity<T>;
            for (std::int64_t i = 0; i < x.length; ++i) {
                if (!inside(options.window, x.length, y.length, i, j)) continue;
                least = std::min(least, x.data[i * dim + d]);
                most = std::max(most, x.data[i * dim + d]);
            }
            check(query.envelope.lower()[j * dim + d] == least, "lower");
            check(query.envelope.upper()[j * dim + d] == most, "upper");
        }
    }
    const auto keogh = static_cast<double>(bounds.keogh(query, y));
    holds(keogh, "keogh");
    holds(bounds.reversed(query, y), "reversed");
    const double improved = bounds.improved(query, y);
    holds(improved, "improved");
    check(improved >= keogh * 0.999, "improved upon");
    check(std::is_sorted(bounds.rest().rbegin(), bounds.rest().rend()), "rest");
    holds(bounds.rest().front(), "rest");
    check(bounds.rest().back() == 0, "rest");
}

template <class T>
void test_stop(Isa isa) {
    Draw draw(5);
    const Collection<T> all(draw, Metric::sqeuclidean, 40, 60, 1, false);
    std::vector<std::int64_t> index(40), stages(40 * kSearchStages);
    std::vector<T> cost(40);
    Stopper stopper;
    Pulse pulse(&stopper);
    pulse.stop();
    Options options;
    check(find_nearest<T>(isa, all.batch, all.batch, options, 1, pulse, {1, index.data(), stages.data()}, cost.data())
              .stopped);
}

}  // namespace

int main() {
    for (const Isa isa : available_isas()) {
        test_stop<float>(isa);
        test_stop<double>(isa);
        Draw draw(1);
        for (int turn = 0; turn < (few() ? 30 : 300); ++turn) {
            for (const Metric metric : {Metric::sqeuclidean, Metric::euclidean, Metric::cityblock, Metric::cosine}) {
                test_search<float>(isa, draw, metric);
                test_search<double>(isa, draw, metric);
                test_bounds<float>(isa, draw, metric);
                test_bounds<double>(isa, draw, metric);
            }
        }
    }
    return report();
}
