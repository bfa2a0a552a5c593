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
RaggedTable table_of(const std::vector<std::vector<T>>& values, std::int64_t dim) {
    RaggedTable out(static_cast<std::int64_t>(values.size()));
    for (const std::vector<T>& item : values)
        out.add(MatrixView<T>{item.data(), static_cast<std::int64_t>(item.size()) / dim, dim, dim, 1});
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
    // By one thread and by two, in either side; the other one is bad only if this is not the first.
    const auto find = [&](int side, int threads) {
        Pulse pulse(nullptr);
        const std::vector<std::vector<T>> fine(3, std::vector<T>(6, T(1)));
        const RaggedTable own = table_of(values, dim), other = table_of(fine, dim);
        return side == 0 ? Inputs<T>(Metric::sqeuclidean, own.series(dim), own.series(dim)).check(threads, 0, pulse)
                         : Inputs<T>(Metric::cosine, other.series(dim), own.series(dim)).check(threads, 0, pulse);
    };
    check(!find(0, 1) && !find(1, 2), "nothing bad");
    values.back().back() = nan;  // a later one is not the first
    const auto found = [&](std::size_t item, std::size_t element, T value) {
        const T before = std::exchange(values[item][element], value);
        for (const int side : {0, 1}) {
            for (const int threads : {1, 2}) {
                const auto bad = find(side, threads);
                check(bad && bad->side == side && bad->item == static_cast<std::int64_t>(item) &&
                          bad->element == static_cast<std::int64_t>(element),
                      "item " + std::to_string(item) + ", element " + std::to_string(element));
            }
        }
        values[item][element] = before;
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

template <class T, std::size_t dim>
void expect_unit_frames(const std::vector<std::vector<T>>& values, const Ragged& frames) {
    for (std::size_t item = 0; item < values.size(); ++item) {
        check(frames.rows_of(static_cast<std::int64_t>(item)) == static_cast<std::int64_t>(values[item].size() / dim),
              "length");
        for (std::size_t at = 0; at < values[item].size(); at += dim) {
            double frame[dim], largest = 0, sum = 0;
            for (std::size_t d = 0; d < dim; ++d) frame[d] = static_cast<double>(values[item][at + d]);
            for (const double value : frame) largest = std::max(largest, std::abs(value));
            for (const double value : frame) sum += std::pow(value / largest, 2);
            for (std::size_t d = 0; d < dim; ++d) {
                const double wanted = largest > 0 ? frame[d] / largest / std::sqrt(sum) : 0;
                const auto got = static_cast<double>(frames.begin_of<T>(static_cast<std::int64_t>(item))[at + d]);
                check(std::abs(got - wanted) <= 4 * static_cast<double>(std::numeric_limits<T>::epsilon()),
                      "item " + std::to_string(item) + ", element " + std::to_string(at + d));
            }
        }
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
    const RaggedTable table = table_of(values, dim);
    // A list, and an array of items of which the longest fills its room.
    for (const bool padded : {false, true}) {
        std::vector<T> room;
        std::vector<std::int64_t> lengths;
        Ragged batch = table.series(dim);
        if (padded) {
            for (const std::vector<T>& item : values) {
                lengths.push_back(static_cast<std::int64_t>(item.size() / dim));
                room.insert(room.end(), item.begin(), item.end());
                room.resize(lengths.size() * 30, std::numeric_limits<T>::quiet_NaN());
            }
            batch = {room.data(), nullptr, 3, 10, dim, 30, dim, 1, lengths.data()};
        }
        Inputs<T> inputs(Metric::cosine, batch, {});
        Pulse pulse(nullptr);
        check(!inputs.check(1, 1e9, pulse), "nothing bad");
        expect_unit_frames<T, dim>(values, inputs.x());
    }
    check(values == before, "the input stays as it was");
}

class Stopper final : public Monitor {
   public:
    bool keep_going(std::int64_t) override {
        ++asked;
        return false;
    }
    int asked = 0;
};

// The pass looks at the pulse: one that is due to be asked stops it.
template <class T>
void stops() {
    const std::vector<std::vector<T>> values(1, std::vector<T>(1'000'000, T(1)));
    const RaggedTable table = table_of(values, 2);
    for (const Metric metric : {Metric::sqeuclidean, Metric::cosine}) {
        Stopper stopper;
        Pulse pulse(&stopper);
        std::this_thread::sleep_for(std::chrono::milliseconds(25));
        Inputs<T>(metric, table.series(2), {}).check(1, 1e9, pulse);
        check(stopper.asked == 1 && pulse.stopped(), "stops");
    }
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
