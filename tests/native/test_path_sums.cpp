// Sums along paths against lists of what each frame meets.
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "warping/path_sums.hpp"

using namespace coalign::testing;
using namespace coalign::warping;

namespace {

// A path from corner to corner by random steps, last pair first.
void draw_path(std::mt19937& random, std::int64_t n, std::int64_t m, std::vector<std::int64_t>& x,
               std::vector<std::int64_t>& y) {
    std::int64_t i = n - 1, j = m - 1;
    x.assign(1, i);
    y.assign(1, j);
    while (i > 0 || j > 0) {
        const auto step = random() % 3;
        const bool rises = i > 0 && (step != 1 || j == 0), turns = j > 0 && (step != 2 || i == 0);
        i -= rises;
        j -= turns;
        x.push_back(i);
        y.push_back(j);
    }
}

template <class T>
void test_sums(std::int64_t n, std::int64_t m, std::int64_t dim, double weight) {
    const std::string what = std::to_string(n) + " x " + std::to_string(m) + " x " + std::to_string(dim);
    std::mt19937 random(static_cast<unsigned>(n * 100 + m * 10 + dim));
    std::vector<T> frames(static_cast<std::size_t>(m * dim));
    for (T& value : frames) value = static_cast<T>(random() % 1000) / 8;
    std::vector<std::int64_t> x, y;
    draw_path(random, n, m, x, y);
    std::vector<double> part(static_cast<std::size_t>(dim)), counts(static_cast<std::size_t>(n), 1);
    std::vector<double> sums(static_cast<std::size_t>(n * dim), 2), wanted = sums, times = counts;
    for (std::size_t k = 0; k < x.size(); ++k) {
        times[static_cast<std::size_t>(x[k])] += weight;
        for (std::int64_t d = 0; d < dim; ++d)
            wanted[static_cast<std::size_t>(x[k] * dim + d)] +=
                weight * static_cast<double>(frames[static_cast<std::size_t>(y[k] * dim + d)]);
    }
    const ReversePath path{x.data(), y.data(), nullptr, static_cast<std::int64_t>(x.size())};
    add_along(path, frames.data(), dim, weight, part.data(), sums.data(), counts.data());
    // Weights and values of few digits: every sum is exact.
    check(sums == wanted, what);
    check(counts == times, what);
}

}  // namespace

int main() {
    for (const std::int64_t n : {1, 2, 9})
        for (const std::int64_t m : {1, 3, 14})
            for (const std::int64_t dim : {1, 2, 5})
                for (const double weight : {0.0, 1.0, 2.5}) {
                    test_sums<float>(n, m, dim, weight);
                    test_sums<double>(n, m, dim, weight);
                }
    // Nothing is added along no path.
    double sum = 3, count = 4, part = 0;
    const float frame = 1;
    add_along(ReversePath{nullptr, nullptr}, &frame, 1, 1.0, &part, &sum, &count);
    check(sum == 3 && count == 4);
    return report();
}
