// What exp, log, log1p, log-sum-exp and the reductions of a row cost per element, beside the same loop over libm.
//
//     bench_math [small]
//
// One thread, arrays of 3200 elements, so that memory plays no part; the least of many runs. Every function is held to
// libm's answer before it is timed. `small` is one short run of each, to see that all of them work.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "core/buffer.hpp"
#include "core/isa.hpp"
#include "math_operations.hpp"

using namespace coalign;
using coalign::testing::MathOperations;

namespace {

// Not a multiple of 4 KB: loads that agree with a store in their last 12 bits would wait for it.
constexpr std::int64_t kCount = 3200;
bool small = false;
bool wrong = false;

// From a cache line on, as the library's own scratch memory: stores of 64 bytes that cross a line take three times as
// long.
template <class T>
struct Column : Buffer<T> {
    Column() { this->reserve(kCount); }
    T* begin() const { return this->data(); }
    T* end() const { return this->data() + kCount; }
    T& operator[](std::int64_t i) const { return this->data()[i]; }
};

template <class T>
struct Data {
    Column<T> a, b, c, positive, out;
};

template <class T>
Data<T> make_data() {
    std::mt19937 random(3);
    // Scores as in CTC and costs over epsilon as in transport: none positive, most of them within 30.
    std::uniform_real_distribution<T> score(T(-30), T(0));
    Data<T> data;
    for (auto* column : {&data.a, &data.b, &data.c})
        std::generate(column->begin(), column->end(), [&] { return score(random); });
    std::transform(data.b.begin(), data.b.end(), data.positive.begin(), [](T value) { return std::exp(value); });
    return data;
}

// Nanoseconds for each element of the fastest run.
double measure(const std::function<void()>& run) {
    using Clock = std::chrono::steady_clock;
    const int rounds = small ? 1 : 60, repeats = small ? 1 : 50;
    double least = std::numeric_limits<double>::infinity();
    for (int round = 0; round < rounds; ++round) {
        const auto begin = Clock::now();
        for (int i = 0; i < repeats; ++i) run();
        const std::chrono::duration<double, std::nano> taken = Clock::now() - begin;
        least = std::min(least, taken.count() / repeats / static_cast<double>(kCount));
    }
    return least;
}

template <class T>
T log_sum_exp(T a, T b) {
    const T most = std::max(a, b);
    return most + std::log1p(std::exp(std::min(a, b) - most));
}

template <class T>
T log_sum_exp(T a, T b, T c) {
    const T most = std::max({a, b, c});
    return most + std::log(std::exp(a - most) + std::exp(b - most) + std::exp(c - most));
}

template <class T>
T log_sum_exp(const Column<T>& row) {
    const T most = *std::max_element(row.begin(), row.end());
    T sum = 0;
    for (const T value : row) sum += std::exp(value - most);
    return most + std::log(sum);
}

template <class T>
struct Case {
    const char* name;
    std::function<void(const MathOperations<T>&, Data<T>&)> run;
    std::function<void(Data<T>&)> libm;
};

// A row's result is left in the first element.
template <class T>
const std::vector<Case<T>>& cases() {
    using M = MathOperations<T>;
    using D = Data<T>;
    const auto each = [](auto function) {
        return [function](D& d) {
            for (std::int64_t i = 0; i < kCount; ++i) d.out[i] = function(d, i);
        };
    };
    static const std::vector<Case<T>> all{
        {"exp", [](const M& on, D& d) { on.exp(d.a.data(), kCount, d.out.data()); },
         each([](D& d, std::int64_t i) { return std::exp(d.a[i]); })},
        {"exp_nonpositive", [](const M& on, D& d) { on.exp_nonpositive(d.a.data(), kCount, d.out.data()); },
         each([](D& d, std::int64_t i) { return std::exp(d.a[i]); })},
        {"log", [](const M& on, D& d) { on.log(d.positive.data(), kCount, d.out.data()); },
         each([](D& d, std::int64_t i) { return std::log(d.positive[i]); })},
        {"log1p", [](const M& on, D& d) { on.log1p(d.positive.data(), kCount, d.out.data()); },
         each([](D& d, std::int64_t i) { return std::log1p(d.positive[i]); })},
        {"log_sum_exp of two",
         [](const M& on, D& d) { on.log_sum_exp_of_two(d.a.data(), d.b.data(), kCount, d.out.data()); },
         each([](D& d, std::int64_t i) { return log_sum_exp(d.a[i], d.b[i]); })},
        {"log_sum_exp of three",
         [](const M& on, D& d) { on.log_sum_exp_of_three(d.a.data(), d.b.data(), d.c.data(), kCount, d.out.data()); },
         each([](D& d, std::int64_t i) { return log_sum_exp(d.a[i], d.b[i], d.c[i]); })},
        {"soft_minimum",
         [](const M& on, D& d) { on.soft_minimum(d.a.data(), d.b.data(), d.c.data(), kCount, d.out.data()); },
         each([](D& d, std::int64_t i) { return -log_sum_exp(-d.a[i], -d.b[i], -d.c[i]); })},
        {"row_sum", [](const M& on, D& d) { d.out[0] = on.row_sum(d.a.data(), kCount); },
         [](D& d) { d.out[0] = std::accumulate(d.a.begin(), d.a.end(), T(0)); }},
        {"row_max", [](const M& on, D& d) { d.out[0] = on.row_max(d.a.data(), kCount); },
         [](D& d) { d.out[0] = *std::max_element(d.a.begin(), d.a.end()); }},
        {"row_log_sum_exp", [](const M& on, D& d) { d.out[0] = on.row_log_sum_exp(d.a.data(), kCount); },
         [](D& d) { d.out[0] = log_sum_exp(d.a); }},
    };
    return all;
}

template <class T>
void table(Data<T>&& data) {
    const std::vector<Isa> sets = available_isas();
    std::printf("\n%-22s %14s", sizeof(T) == 4 ? "float32" : "float64", "libm");
    for (const Isa isa : sets) std::printf(" %14s", std::string(name(isa)).c_str());
    std::printf("\n");
    for (const Case<T>& one : cases<T>()) {
        std::fill(data.out.begin(), data.out.end(), T(0));
        one.libm(data);
        const std::vector<T> wanted(data.out.begin(), data.out.end());
        const double libm = measure([&] { one.libm(data); });
        std::printf("%-22s %6.2f (%5.2f)", one.name, libm, 1 / libm);
        for (const Isa isa : sets) {
            const auto& on = coalign::table_for<MathOperations<T>>(isa);
            std::fill(data.out.begin(), data.out.end(), T(0));
            one.run(on, data);
            // A sum of so many in one accumulator is as far off as its number of terms.
            for (std::size_t i = 0; i < wanted.size(); ++i)
                wrong |=
                    !(std::abs(data.out.begin()[i] - wanted[i]) <=
                      std::numeric_limits<T>::epsilon() * (std::abs(wanted[i]) * (wanted[1] == 0 ? kCount : 8) + 8));
            const double taken = measure([&] { one.run(on, data); });
            std::printf(" %6.3f (%5.2f)", taken, 1 / taken);
        }
        std::printf("\n");
        std::fflush(stdout);
    }
}

}  // namespace

int main(int count, char** words) {
    small = count > 1 && std::string(words[1]) == "small";
    std::printf("ns for each element (elements for each ns)\n");
    table(make_data<float>());
    table(make_data<double>());
    if (wrong) std::fprintf(stderr, "bench_math: an answer is not libm's\n");
    return wrong ? 1 : 0;
}
