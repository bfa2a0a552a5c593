// The first pass over the series of a call: bad values are found where they stand, and unit frames have length 1.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "check.hpp"
#include "warping/inputs.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::warping;

namespace {

template <class T>
std::vector<Series<T>> views(const std::vector<std::vector<T>>& values, std::int64_t dim) {
    std::vector<Series<T>> out;
    for (const std::vector<T>& item : values)
        out.push_back({item.data(), static_cast<std::int64_t>(item.size()) / dim});
    return out;
}

template <class T>
void bad_values() {
    constexpr std::int64_t dim = 3;
    const T nan = std::numeric_limits<T>::quiet_NaN(), inf = std::numeric_limits<T>::infinity();
    // The long ones go past the stretch between two looks at the pulse.
    std::vector<std::vector<T>> values;
    constexpr std::size_t lengths[] = {1, 400, 300'000, 2};
    for (const std::size_t frames : lengths) values.emplace_back(frames * dim, T(1));
    Pulse pulse(nullptr);
    check(!find_bad_value(views(values, dim), dim, pulse), "nothing bad");
    values.back().back() = nan;  // a later one is not the first
    const auto found = [&](std::size_t item, std::size_t element, T value) {
        const T before = std::exchange(values[item][element], value);
        const auto bad = find_bad_value(views(values, dim), dim, pulse);
        values[item][element] = before;
        check(bad && bad->item == static_cast<std::int64_t>(item) && bad->element == static_cast<std::int64_t>(element),
              "item " + std::to_string(item) + ", element " + std::to_string(element));
    };
    constexpr std::size_t places[] = {0, 262'143, 262'144, 600'000, 899'999};
    for (const T value : {nan, inf, -inf}) {
        found(0, 0, value);
        found(0, 2, value);
        found(1, 1199, value);
        for (const std::size_t element : places) found(2, element, value);
        found(3, 5, value);
    }
}

template <class T>
void unit_frames() {
    constexpr std::size_t dim = 3;
    const T huge = std::numeric_limits<T>::max() / 2, tiny = std::numeric_limits<T>::min();
    std::vector<std::vector<T>> values{{3, 4, 0, 0, 0, 0}, {huge, huge, 0, tiny, -tiny, tiny, -T(0), 0, -2}, {}};
    std::mt19937_64 random(5);
    for (int i = 0; i < 30; ++i) values[2].push_back(std::normal_distribution<T>()(random));
    const std::vector<std::vector<T>> before = values;
    std::vector<Series<T>> series = views(values, dim);
    Buffer<T> storage;
    Pulse pulse(nullptr);
    take_unit_frames(series, std::int64_t{dim}, storage, pulse);
    check(values == before, "the input stays as it was");
    for (std::size_t item = 0; item < values.size(); ++item) {
        check(series[item].length == static_cast<std::int64_t>(values[item].size() / dim), "length");
        for (std::size_t at = 0; at < values[item].size(); at += dim) {
            double frame[dim], largest = 0, sum = 0;
            for (std::size_t d = 0; d < dim; ++d) frame[d] = static_cast<double>(values[item][at + d]);
            for (const double value : frame) largest = std::max(largest, std::abs(value));
            for (const double value : frame) sum += std::pow(value / largest, 2);
            for (std::size_t d = 0; d < dim; ++d) {
                const double wanted = largest > 0 ? frame[d] / largest / std::sqrt(sum) : 0;
                const auto got = static_cast<double>(series[item].data[at + d]);
                check(std::abs(got - wanted) <= 4 * static_cast<double>(std::numeric_limits<T>::epsilon()),
                      "item " + std::to_string(item) + ", element " + std::to_string(at + d));
            }
        }
    }
}

class Stopper final : public Monitor {
   public:
    bool keep_going(std::int64_t) override {
        ++asked;
        return false;
    }
    int asked = 0;
};

// Both passes look at the pulse: one that is due to be asked stops them.
template <class T>
void stops() {
    const std::vector<std::vector<T>> values(1, std::vector<T>(1'000'000, T(1)));
    const auto stopped_by = [&](auto&& pass) {
        Stopper stopper;
        Pulse pulse(&stopper);
        std::this_thread::sleep_for(std::chrono::milliseconds(25));
        std::vector<Series<T>> series = views(values, 2);
        pass(series, pulse);
        return stopper.asked == 1 && pulse.stopped();
    };
    check(stopped_by([](auto& series, Pulse& pulse) { find_bad_value(series, 2, pulse); }), "the search stops");
    Buffer<T> storage;
    check(stopped_by([&](auto& series, Pulse& pulse) { take_unit_frames(series, std::int64_t{2}, storage, pulse); }),
          "the scaling stops");
}

template <class T>
void all() {
    bad_values<T>();
    unit_frames<T>();
    stops<T>();
}

}  // namespace

int main() {
    all<float>();
    all<double>();
    return report();
}
