// core/reduce.hpp of every instruction set that this CPU runs, and the tree under it, alone and over threads.
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "check.hpp"
#include "core/index_tree.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "math_operations.hpp"

using namespace coalign;
using namespace coalign::testing;

namespace {

template <class T>
bool same_bits(T a, T b) {
    return std::memcmp(&a, &b, sizeof(T)) == 0;
}

std::string joined(const std::string& a, const std::string& b) {
    return "(" + a + b + ")";
}

// Each pair of leaves, of pairs, and so on; what is left over is joined from its end.
void the_shape_of_the_tree() {
    const char* const wanted[] = {
        "a", "(ab)", "((ab)c)", "((ab)(cd))", "(((ab)(cd))e)", "(((ab)(cd))(ef))", "(((ab)(cd))((ef)g))"};
    for (std::size_t leaves = 1; leaves <= std::size(wanted); ++leaves) {
        IndexTree<std::string> tree;
        for (std::size_t leaf = 0; leaf < leaves; ++leaf)
            tree.add(std::string(1, static_cast<char>('a' + leaf)), joined);
        check(tree.total(joined) == wanted[leaves - 1], tree.total(joined));
    }
}

// Combined in the order of their index, whoever was first to finish.
void chunks_in_order() {
    for (const std::int64_t count : {0, 1, 4, 5, 9, 23}) {
        std::string alone;
        for (const int threads : {1, 2, 3, 7}) {
            Pulse pulse(nullptr);
            const auto text = parallel_chunks<std::string>(
                count, 4, threads, pulse,
                [&](int worker, std::int64_t begin, std::int64_t end) {
                    check(worker >= 0 && worker < threads, "a worker's number");
                    check(begin % 4 == 0 && end == std::min(begin + 4, count), "a chunk's ends");
                    std::string letters;
                    for (std::int64_t at = begin; at < end; ++at) letters += static_cast<char>('a' + at);
                    return letters;
                },
                joined);
            if (threads == 1) alone = text;
            check(text == alone, std::to_string(threads) + " threads: " + text);
        }
        std::string letters;
        std::copy_if(alone.begin(), alone.end(), std::back_inserter(letters), [](char c) { return c >= 'a'; });
        check(std::ssize(letters) == count && std::is_sorted(letters.begin(), letters.end()), "each element once");
    }
}

template <class T>
class Reductions {
   public:
    explicit Reductions(Isa isa)
        : on_(table_for<MathOperations<T>>(isa)),
          label_(std::string(name(isa)) + (sizeof(T) == 4 ? " float32 " : " float64 ")) {}

    void run() {
        std::vector<int> lengths(2001);
        for (int length = 0; length <= 2000; ++length) lengths[static_cast<std::size_t>(length)] = length;
        for (const int length : {4096, 5000, 100'003}) lengths.push_back(length);
        for (const int length : lengths) {
            draw(length);
            values();
            if (length < 70 || length % 61 == 0) {
                offsets();
                special_values();
            }
        }
        chunks();
    }

   private:
    void draw(int length) {
        const T spread = std::ldexp(T(1), static_cast<int>(random_() % 8) - 2);
        std::normal_distribution<T> score(0, spread);
        row_.resize(static_cast<std::size_t>(length));
        for (T& value : row_) value = score(random_);
    }
    std::int64_t count() const { return std::ssize(row_); }
    std::string named(const char* what) const { return label_ + what + " of " + std::to_string(count()); }

    // Additions that are as deep as the tree: lanes, accumulators and blocks. A vector holds two elements or more.
    double depth() const {
        const double in_block = std::min<double>(static_cast<double>(count()), 512) / 8 + 6;
        return in_block + std::log2(1 + static_cast<double>(count()) / 512);
    }

    // What the values are held to; on AArch64 long double is software.
    using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;

    void values() {
        Wide sum = 0, size = 0, exponentials = 0;
        T most = -std::numeric_limits<T>::infinity();
        for (const T value : row_) {
            sum += static_cast<Wide>(value);
            size += static_cast<Wide>(std::abs(value));
            most = std::max(most, value);
        }
        for (const T value : row_) exponentials += std::exp(static_cast<Wide>(value) - static_cast<Wide>(most));
        constexpr Wide epsilon = std::numeric_limits<T>::epsilon();
        const Wide bound = static_cast<Wide>(depth()) / 2 * epsilon;
        check(std::abs(static_cast<Wide>(on_.row_sum(row_.data(), count())) - sum) <= bound * size, named("sum"));
        check(same_bits(on_.row_max(row_.data(), count()), most), named("maximum"));
        const T got = on_.row_log_sum_exp(row_.data(), count());
        const Wide exact = static_cast<Wide>(most) + std::log(exponentials);
        if (row_.empty()) {
            check(got == most, named("log-sum-exp"));
        } else {
            // Of each exponential, of their sum, of the logarithm and of the last addition.
            const Wide unit = std::max(std::abs(static_cast<Wide>(most)), exact - static_cast<Wide>(most));
            check(std::abs(static_cast<Wide>(got) - exact) <= bound + 4 * epsilon * (1 + unit),
                  named("log-sum-exp") + ": " + std::to_string(got));
        }
    }

    // The same bits wherever the row stands, and nothing read behind it: the memory ends there.
    void offsets() {
        const T sum = on_.row_sum(row_.data(), count()), most = on_.row_max(row_.data(), count());
        const T logarithm = on_.row_log_sum_exp(row_.data(), count());
        for (std::size_t offset = 0; offset <= 16; ++offset) {
            std::vector<T> moved(offset, std::numeric_limits<T>::quiet_NaN());
            moved.insert(moved.end(), row_.begin(), row_.end());
            moved.shrink_to_fit();
            const T* at = moved.data() + offset;
            check(same_bits(on_.row_sum(at, count()), sum) && same_bits(on_.row_max(at, count()), most) &&
                      same_bits(on_.row_log_sum_exp(at, count()), logarithm),
                  named("all, moved"));
        }
    }

    void special_values() {
        using Limits = std::numeric_limits<T>;
        constexpr T inf = Limits::infinity();
        const auto all = [&](T value) { std::fill(row_.begin(), row_.end(), value); };
        if (row_.empty()) return;
        const std::size_t at = random_() % row_.size();
        const auto logarithm = [&] { return on_.row_log_sum_exp(row_.data(), count()); };

        const T before = row_[at];
        row_[at] = inf;
        check(logarithm() == inf && on_.row_max(row_.data(), count()) == inf, named("inf in a row"));
        row_[row_.size() - 1 - at] = Limits::quiet_NaN();
        check(std::isnan(logarithm()), named("NaN beside inf, log-sum-exp"));
        check(std::isnan(on_.row_max(row_.data(), count())), named("NaN beside inf, maximum"));
        row_[at] = before;
        row_[row_.size() - 1 - at] = before;
        row_[at] = Limits::quiet_NaN();
        check(std::isnan(logarithm()) && std::isnan(on_.row_max(row_.data(), count())) &&
                  std::isnan(on_.row_sum(row_.data(), count())),
              named("NaN in a row"));

        all(-inf);
        check(logarithm() == -inf && on_.row_max(row_.data(), count()) == -inf, named("-inf everywhere"));
        row_[at] = T(-3.5);
        check(logarithm() == T(-3.5), named("one that is not -inf"));
        row_[at] = Limits::lowest();
        check(logarithm() == Limits::lowest(), named("the lowest alone"));
        all(Limits::lowest());
        row_[at] = Limits::max();
        check(logarithm() == Limits::max(), named("the ends of the range"));
    }

    // A long row, in one piece and in chunks over threads.
    void chunks() {
        for (const int length : {1, 511, 512, 513, 8192, 8193, 50'000, 100'003}) {
            draw(length);
            const T sum = on_.row_sum(row_.data(), count()), logarithm = on_.row_log_sum_exp(row_.data(), count());
            for (const std::int64_t blocks : {1, 2, 16}) {
                for (const int threads : {1, 2, 5}) {
                    Pulse pulse(nullptr);
                    const T total = parallel_chunks<T>(
                        count(), blocks * kReductionBlock, threads, pulse,
                        [&](int, std::int64_t begin, std::int64_t end) {
                            return on_.row_sum(row_.data() + begin, end - begin);
                        },
                        [](T a, T b) { return a + b; });
                    const LogSum<T> parts = parallel_chunks<LogSum<T>>(
                        count(), blocks * kReductionBlock, threads, pulse,
                        [&](int, std::int64_t begin, std::int64_t end) {
                            return on_.row_log_sum(row_.data() + begin, end - begin);
                        },
                        on_.combine);
                    check(same_bits(total, sum), named("sum in chunks"));
                    check(same_bits(on_.value(parts), logarithm), named("log-sum-exp in chunks"));
                }
            }
        }
    }

    const MathOperations<T>& on_;
    const std::string label_;
    std::mt19937 random_{5};
    std::vector<T> row_;
};

}  // namespace

int main() {
    the_shape_of_the_tree();
    chunks_in_order();
    for (const Isa isa : available_isas()) {
        Reductions<float>(isa).run();
        Reductions<double>(isa).run();
    }
    return report();
}
