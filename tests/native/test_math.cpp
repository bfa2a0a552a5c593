// core/math.hpp of every instruction set that this CPU runs.
//
//     test_math [sampled | exhaustive]
//
// float64 against long double, which has 11 bits more (on AArch64, 60); float32 against the same set's float64, which
// by then is known to be right to 4 of its own ulp, or 8e-9 of a float32's. Exhaustive: every one of the 2^32 float32.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "math_operations.hpp"

using namespace coalign;
using namespace coalign::testing;

namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

template <class T>
using Bits = std::conditional_t<sizeof(T) == 4, std::uint32_t, std::uint64_t>;

template <class T>
bool same_bits(T a, T b) {
    return std::bit_cast<Bits<T>>(a) == std::bit_cast<Bits<T>>(b);
}

template <class T>
std::string label(Isa isa, const char* function) {
    return std::string(name(isa)) + (sizeof(T) == 4 ? " float32 " : " float64 ") + function;
}

template <class T>
struct Function {
    const char* name;
    typename MathOperations<T>::Unary MathOperations<T>::* run;
    long double (*reference)(long double);
    bool flushes;  // gives 0 for what would be denormal
    double least_of_x, most_of_x;
};

template <class T>
const std::vector<Function<T>>& functions() {
    using M = MathOperations<T>;
    static const std::vector<Function<T>> all{
        {"exp", &M::exp, [](long double x) { return std::exp(x); }, true, -kInf, kInf},
        {"exp_nonpositive", &M::exp_nonpositive, [](long double x) { return std::exp(x); }, true, -kInf, 0},
        {"log", &M::log, [](long double x) { return std::log(x); }, false, -kInf, kInf},
        {"log1p", &M::log1p, [](long double x) { return std::log1p(x); }, false, -kInf, kInf},
    };
    return all;
}

// How far a value of T is from what it should be, in units of the last place of that. A result that overflows counts as
// the first power of 2 that does.
template <class T, class Exact>
double ulps(T got, Exact exact, bool flushes) {
    using Limits = std::numeric_limits<T>;
    if (std::isnan(exact) || std::isnan(got)) return std::isnan(exact) && std::isnan(got) ? 0 : kInf;
    if (flushes && exact < Limits::min()) return got == 0 && !std::signbit(got) ? 0 : kInf;
    const Exact most = std::ldexp(Exact(1), Limits::max_exponent);
    const Exact wanted = std::clamp(exact, -most, most), had = std::clamp(static_cast<Exact>(got), -most, most);
    if (wanted == had) return 0;
    const int exponent = wanted == 0 ? Limits::min_exponent : std::max(std::ilogb(wanted) + 1, Limits::min_exponent);
    return static_cast<double>(
        std::ldexp(std::abs(had - wanted), Limits::digits - std::min(exponent, Limits::max_exponent)));
}

// Arguments in every exponent, about the places where the reductions change, near 0 and near 1, and beyond every end.
std::vector<double> arguments(const std::string& function, int each) {
    std::mt19937_64 random(7);
    std::vector<double> points{0.0, -0.0, kInf, -kInf, kNaN};
    const auto around = [&](double x, int steps) {
        double below = x, above = x;
        points.push_back(x);
        for (int i = 0; i < steps; ++i) {
            points.push_back(below = std::nextafter(below, -kInf));
            points.push_back(above = std::nextafter(above, kInf));
        }
    };
    for (std::uint64_t exponent = 0; exponent < 2048; ++exponent) {
        for (int i = 0; i < each; ++i) {
            const std::uint64_t sign = i % 4 == 0 ? 1 : 0;
            points.push_back(std::bit_cast<double>(sign << 63 | exponent << 52 | random() >> 12));
        }
        if (function.starts_with("log")) {
            const double power = std::bit_cast<double>(exponent << 52), offset = function == "log1p" ? 1 : 0;
            for (const double m : {0.75, 1.0, 1.5}) around(m * power - offset, 8);
        }
    }
    std::uniform_real_distribution<double> unit(-1, 1), wide(-760, 720);
    for (int i = 0; i < each * 2000; ++i) {
        if (function.starts_with("exp")) points.push_back(wide(random));
        points.push_back(unit(random));
        points.push_back(1 + unit(random) * std::ldexp(1.0, -i % 53));
        points.push_back(-1 + std::abs(unit(random)) * std::ldexp(1.0, -i % 53));
        points.push_back(3 * unit(random));
    }
    if (function.starts_with("exp")) {
        const double ln2 = std::log(2.0);
        for (int n = -1080; n <= 1030; ++n) {
            around(n * ln2, 8);
            around((n + 0.5) * ln2, 8);
        }
    }
    return points;
}

void float64_against_long_double(const std::vector<Isa>& sets, int each, double bound) {
    for (const Function<double>& function : functions<double>()) {
        std::vector<double> points = arguments(function.name, each);
        std::erase_if(points, [&](double x) { return x > function.most_of_x; });
        std::vector<long double> exact(points.size());
        std::transform(points.begin(), points.end(), exact.begin(),
                       [&](double x) { return function.reference(static_cast<long double>(x)); });
        std::vector<double> got(points.size());
        for (const Isa isa : sets) {
            (table_for<MathOperations<double>>(isa).*function.run)(points.data(), std::ssize(points), got.data());
            double worst = 0;
            std::size_t where = 0;
            for (std::size_t i = 0; i < points.size(); ++i) {
                const double error = ulps(got[i], exact[i], function.flushes);
                if (error > worst) worst = error, where = i;
            }
            const std::string what = label<double>(isa, function.name);
            std::printf("%-26s %.3f ulp at %a, of %zu values\n", what.c_str(), worst, points[where], points.size());
            check(worst <= bound, what);
        }
    }
}

// The worst of what a set got, and where.
struct Worst {
    double error = 0;
    float x = 0;
};

// Blocks of 1024 neighbouring float32: all of them, or every 1021st, and in each exponent the first and the last. What
// is exact comes from the widest set for all of them.
void float32_against_float64(const std::vector<Isa>& sets, bool exhaustive, double bound) {
    constexpr std::int64_t size = 1024, blocks = std::int64_t{1} << 22, blocks_of_exponent = 1 << 13;
    const auto threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
    const MathOperations<double>& reference = table_for<MathOperations<double>>(sets.back());
    const Float32Errors& errors = table_for<Float32Errors>(sets.back());
    for (std::size_t at = 0; at < functions<float>().size(); ++at) {
        const Function<float>& function = functions<float>()[at];
        std::vector<std::int64_t> chosen;
        for (std::int64_t block = 0; block < blocks; ++block) {
            const std::int64_t place = block % blocks_of_exponent;
            const auto first = std::bit_cast<float>(static_cast<std::uint32_t>(block * size));
            if ((exhaustive || block % 1021 == 0 || place == 0 || place + 1 == blocks_of_exponent) &&
                !(static_cast<double>(first) > function.most_of_x))
                chosen.push_back(block);
        }
        const auto look_at = [&](std::int64_t block, std::vector<Worst>& worst) {
            float x[size], got[size];
            double wide[size], exact[size];
            for (std::int64_t i = 0; i < size; ++i)
                x[i] = std::bit_cast<float>(static_cast<std::uint32_t>(block * size + i));
            for (std::int64_t i = 0; i < size; ++i) wide[i] = static_cast<double>(x[i]);
            (reference.*functions<double>()[at].run)(wide, size, exact);
            for (std::size_t set = 0; set < sets.size(); ++set) {
                (table_for<MathOperations<float>>(sets[set]).*function.run)(x, size, got);
                if (!(errors.worst(got, exact, size, function.flushes) > worst[set].error)) continue;
                for (std::int64_t i = 0; i < size; ++i) {
                    const double error = ulps(got[i], exact[i], function.flushes);
                    if (error > worst[set].error) worst[set] = {error, x[i]};
                }
            }
        };
        Pulse pulse(nullptr);
        const auto worst = parallel_chunks<std::vector<Worst>>(
            std::ssize(chosen), 1024, threads, pulse,
            [&](int, std::int64_t begin, std::int64_t end) {
                std::vector<Worst> here(sets.size());
                for (std::int64_t i = begin; i < end; ++i) look_at(chosen[static_cast<std::size_t>(i)], here);
                return here;
            },
            [](std::vector<Worst> a, const std::vector<Worst>& b) {
                for (std::size_t set = 0; set < a.size(); ++set)
                    if (b[set].error > a[set].error) a[set] = b[set];
                return a;
            });
        for (std::size_t set = 0; set < sets.size(); ++set) {
            const std::string what = label<float>(sets[set], function.name);
            std::printf("%-26s %.3f ulp at %a, of %lld values\n", what.c_str(), worst[set].error,
                        static_cast<double>(worst[set].x), static_cast<long long>(std::ssize(chosen) * size));
            check(worst[set].error <= bound, what);
        }
    }
}

// What stands in no table of errors: exact results, and the first argument past every end.
template <class T>
void specials(Isa isa) {
    using Limits = std::numeric_limits<T>;
    const MathOperations<T>& on = table_for<MathOperations<T>>(isa);
    constexpr T inf = Limits::infinity(), nan = Limits::quiet_NaN(), tiny = Limits::denorm_min();
    // A NaN that carries something: it must not leak into an exponent.
    const T marked = std::bit_cast<T>(std::bit_cast<Bits<T>>(nan) | Bits<T>(1954));
    const auto expect = [&](const char* function, typename MathOperations<T>::Unary run, T x, T wanted) {
        T got = 0;
        run(&x, 1, &got);
        check(std::isnan(wanted) ? std::isnan(got) : same_bits(got, wanted),
              label<T>(isa, function) + " of " + std::to_string(x) + ": " + std::to_string(got));
    };
    const T least = std::log(Limits::min());
    T last = std::log(Limits::max());
    while (std::exp(static_cast<long double>(last)) > Limits::max()) last = std::nextafter(last, T(0));
    for (const auto& [function, run] : {std::pair{"exp", on.exp}, std::pair{"exp_nonpositive", on.exp_nonpositive}}) {
        expect(function, run, 0, 1);
        expect(function, run, -T(0), 1);
        expect(function, run, -tiny, 1);
        expect(function, run, -inf, 0);
        expect(function, run, Limits::lowest(), 0);
        expect(function, run, least - T(1), 0);
        expect(function, run, nan, nan);
        expect(function, run, marked, nan);
        expect(function, run, -marked, nan);
    }
    expect("exp", on.exp, tiny, 1);
    expect("exp", on.exp, std::nextafter(last, inf), inf);
    expect("exp", on.exp, Limits::max(), inf);
    expect("exp", on.exp, inf, inf);
    T finite = 0;
    on.exp(&last, 1, &finite);
    check(finite <= Limits::max(), label<T>(isa, "exp of the last that is finite"));

    expect("log", on.log, 1, 0);
    expect("log", on.log, 0, -inf);
    expect("log", on.log, -T(0), -inf);
    expect("log", on.log, -tiny, nan);
    expect("log", on.log, -1, nan);
    expect("log", on.log, -inf, nan);
    expect("log", on.log, inf, inf);
    expect("log", on.log, nan, nan);
    expect("log", on.log, marked, nan);

    for (const T x : {T(0), -T(0), tiny, -tiny, 3 * tiny, Limits::min(), -Limits::min(), Limits::epsilon() / 8})
        expect("log1p", on.log1p, x, x);
    expect("log1p", on.log1p, -1, -inf);
    expect("log1p", on.log1p, std::nextafter(T(-1), T(-2)), nan);
    expect("log1p", on.log1p, -inf, nan);
    expect("log1p", on.log1p, inf, inf);
    expect("log1p", on.log1p, nan, nan);
    expect("log1p", on.log1p, marked, nan);
}

long double log_sum(const std::vector<long double>& terms) {
    const long double most = *std::max_element(terms.begin(), terms.end());
    if (most == -kInf) return most;
    std::vector<long double> sorted = terms;
    std::sort(sorted.begin(), sorted.end());
    sorted.pop_back();
    long double rest = 0;
    for (const long double term : sorted) rest += std::exp(term - most);
    return most + std::log1p(rest);
}

// Within 3 epsilon of the largest part: of the greatest term and what is added to it, which may cancel, and of each
// term by its share, which is what a change of its last place makes of the sum.
template <class T>
void sums_of_few(Isa isa, int count) {
    using Limits = std::numeric_limits<T>;
    const MathOperations<T>& on = table_for<MathOperations<T>>(isa);
    constexpr T inf = Limits::infinity();
    std::mt19937 random(11);
    std::vector<T> a, b, c;
    for (int i = 0; i < count; ++i) {
        // From scores that are close to each other to those far apart.
        const T spread = std::ldexp(T(1), i % 24 - 12);
        std::uniform_real_distribution<T> score(-spread, spread);
        const T offset = i % 3 == 0 ? T(-300) : i % 3 == 1 ? T(0) : T(20);
        a.push_back(offset + score(random));
        b.push_back(offset + score(random));
        c.push_back(offset + score(random));
    }
    // Every case of none, one, two and three that are -inf, equal ones and the ends of the range.
    const T some[] = {
        -inf, T(-1), T(0), T(0.5), T(-90), Limits::lowest(), Limits::max(), T(-800), -Limits::denorm_min()};
    for (const T x : some)
        for (const T y : some)
            for (const T z : some) a.push_back(x), b.push_back(y), c.push_back(z);
    std::vector<T> two(a.size()), swapped(a.size()), three(a.size()), turned(a.size()), soft(a.size()), minus[3];
    for (std::size_t i = 0; i < a.size(); ++i)
        minus[0].push_back(-a[i]), minus[1].push_back(-b[i]), minus[2].push_back(-c[i]);
    on.log_sum_exp_of_two(a.data(), b.data(), std::ssize(a), two.data());
    on.log_sum_exp_of_two(b.data(), a.data(), std::ssize(a), swapped.data());
    on.log_sum_exp_of_three(a.data(), b.data(), c.data(), std::ssize(a), three.data());
    on.log_sum_exp_of_three(c.data(), a.data(), b.data(), std::ssize(a), turned.data());
    on.soft_minimum(minus[0].data(), minus[1].data(), minus[2].data(), std::ssize(a), soft.data());
    double worst = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const std::string what = label<T>(isa, "log_sum_exp of ") + std::to_string(a[i]) + ", " + std::to_string(b[i]) +
                                 ", " + std::to_string(c[i]);
        check(same_bits(two[i], swapped[i]) && same_bits(three[i], turned[i]), what + " in another order");
        check(same_bits(soft[i], -three[i]) || (soft[i] == 0 && three[i] == 0), what + " as a soft minimum");
        const auto judge = [&](T got, const std::vector<long double>& terms) {
            const long double most = *std::max_element(terms.begin(), terms.end()), exact = log_sum(terms);
            if (std::isinf(exact) || std::count(terms.begin(), terms.end(), -kInf) + 1 == std::ssize(terms)) {
                // Nothing to add: not a bit changes.
                check(got == static_cast<T>(exact), what + ": " + std::to_string(got));
                return;
            }
            // What is flushed to zero is below the least normal number.
            const long double flushed = Limits::min() / Limits::epsilon();
            long double unit = std::max({std::abs(most), exact - most, flushed});
            for (const long double term : terms)
                if (term > -kInf) unit = std::max(unit, std::abs(term) * std::exp(term - exact));
            worst = std::max(
                worst, static_cast<double>(std::abs(got - exact) / unit / static_cast<long double>(Limits::epsilon())));
        };
        const long double x = a[i], y = b[i], z = c[i];
        judge(two[i], {x, y});
        judge(three[i], {x, y, z});
    }
    std::printf("%-26s %.3f epsilon, of %zu values\n", label<T>(isa, "log_sum_exp").c_str(), worst, 2 * a.size());
    check(worst <= 3, label<T>(isa, "log_sum_exp"));

    const T nan = Limits::quiet_NaN();
    for (const T other : {T(0), -inf, nan}) {
        for (int at = 0; at < 3; ++at) {
            T args[3] = {other, other, T(1)}, got[3];
            std::swap(args[2], args[at]);
            args[at] = nan;
            on.log_sum_exp_of_three(args, args + 1, args + 2, 1, got);
            on.log_sum_exp_of_two(args, args + 1, 1, got + 1);
            on.soft_minimum(args, args + 1, args + 2, 1, got + 2);
            check(std::isnan(got[0]) && (at == 2 || std::isnan(got[1])) && (other == -inf || std::isnan(got[2])),
                  label<T>(isa, "log_sum_exp of NaN in place ") + std::to_string(at));
        }
    }
    const T ends[] = {inf, T(3), -inf};
    T got = 0;
    on.log_sum_exp_of_three(ends, ends + 1, ends + 2, 1, &got);
    check(got == inf, label<T>(isa, "log_sum_exp of inf"));
}

}  // namespace

int main(int count, char** words) {
    const std::string mode = count > 1 ? words[1] : "sampled";
    if (mode != "sampled" && mode != "exhaustive") {
        std::fprintf(stderr, "test_math: expected sampled or exhaustive, got %s\n", mode.c_str());
        return 2;
    }
    const bool exhaustive = mode == "exhaustive";
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    std::printf("%s\n", mode.c_str());
    const std::vector<Isa> sets = available_isas();
    for (const Isa isa : sets) {
        specials<float>(isa);
        specials<double>(isa);
        sums_of_few<float>(isa, exhaustive ? 200'000 : 20'000);
        sums_of_few<double>(isa, exhaustive ? 200'000 : 20'000);
    }
    float64_against_long_double(sets, exhaustive ? 400 : 20, 4);
    float32_against_float64(sets, exhaustive, 2);
    return report();
}
