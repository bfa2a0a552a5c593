// The first value that is not finite, wherever it stands.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/finite.hpp"

using namespace coalign;
using namespace coalign::testing;

namespace {

template <class T>
void every_position(std::size_t size) {
    using Limits = std::numeric_limits<T>;
    // The extremes of what is finite.
    const T finite[] = {Limits::max(), Limits::lowest(), Limits::denorm_min(), T(-0.0), T(0), T(1)};
    std::vector<T> values(size);
    for (std::size_t i = 0; i < size; ++i) values[i] = finite[i % 6];
    const auto count = static_cast<std::int64_t>(size);
    const std::string label = std::to_string(size) + (sizeof(T) == 4 ? " float32" : " float64");
    check(first_not_finite(values.data(), count) == count, label + ", all finite");

    for (const T wrong : {Limits::quiet_NaN(), Limits::infinity(), -Limits::infinity()}) {
        for (std::size_t at = 0; at < size; ++at) {
            // Every position of a short array; of a long one a few, and those around the ends of its blocks.
            if (size > 100 && at % 31 != 0 && at % 1024 > 1 && at % 1024 < 1022 && at + 2 < size) continue;
            std::vector<T> spoiled = values;
            spoiled[at] = wrong;
            spoiled[size - 1] = at % 2 == 0 ? wrong : spoiled[size - 1];  // a later one is not the first
            const auto expected = static_cast<std::int64_t>(at);
            check(first_not_finite(spoiled.data(), count) == expected, label + ", at " + std::to_string(at));
            // What follows the count is not looked at.
            check(first_not_finite(spoiled.data(), expected) == expected, label + ", before " + std::to_string(at));
        }
    }
}

}  // namespace

int main() {
    constexpr std::size_t sizes[] = {0, 1, 2, 3, 7, 8, 9, 31, 64, 65, 1023, 1024, 1025, 2048, 3000};
    for (const std::size_t size : sizes) {
        every_position<float>(size);
        every_position<double>(size);
    }
    return report();
}
