// core/lanes.hpp of every instruction set that this CPU runs, against loops over scalars.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "lane_operations.hpp"

using namespace coalign;
using namespace coalign::testing;

namespace {

template <class T>
const LaneOperations<T>& operations(Isa isa) {
    return table_for<LaneOperations<T>>(isa);
}

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
    return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template <class T>
class Lanes {
   public:
    explicit Lanes(Isa isa)
        : on_(operations<T>(isa)),
          width_(static_cast<std::size_t>(on_.width)),
          label_(std::string(name(isa)) + (sizeof(T) == 4 ? " float32 " : " float64 ")) {}

    void run() {
        check(on_.width * static_cast<int>(sizeof(T)) == vector_bytes(), label_ + "width");
        for (int round = 0; round < 50; ++round) {
            elementwise();
            whole();
        }
    }

   private:
    int vector_bytes() const {
        const std::string set = label_.substr(0, label_.find(' '));
        return set == "v4" ? 64 : set == "v3" ? 32 : 16;
    }

    // Magnitudes across the whole range, with zeros of both signs and infinities.
    T draw() {
        constexpr T inf = std::numeric_limits<T>::infinity();
        switch (std::uniform_int_distribution<int>(0, 9)(random_)) {
            case 0:
                return T(0);
            case 1:
                return -T(0);
            case 2:
                return inf;
            case 3:
                return -inf;
            default:
                return draw_finite();
        }
    }
    T draw_finite() {
        const T size = std::uniform_real_distribution<T>(-1, 1)(random_);
        return std::ldexp(size, std::uniform_int_distribution<int>(-40, 40)(random_));
    }
    std::vector<T> draws(std::size_t count, bool finite = false) {
        std::vector<T> out(count);
        for (T& value : out) value = finite ? draw_finite() : draw();
        return out;
    }

    template <class Expected>
    void expect(const std::vector<T>& got, const char* what, Expected&& expected) {
        std::vector<T> wanted(width_);
        for (std::size_t lane = 0; lane < width_; ++lane) wanted[lane] = expected(lane);
        check(same_bits(got, wanted), label_ + what);
    }

    void elementwise() {
        const std::vector<T> a = draws(width_), b = draws(width_);
        std::vector<T> out(width_);
        on_.copy(a.data(), out.data());
        expect(out, "load and store", [&](std::size_t lane) { return a[lane]; });

        using Int = typename LaneOperations<T>::Int;
        std::vector<Int> mask(width_), copied(width_);
        for (Int& value : mask) value = std::bernoulli_distribution()(random_) ? Int(-1) : Int(0);
        on_.copy_int(mask.data(), copied.data());
        check(mask == copied, label_ + "load_int");
        on_.select(mask.data(), a.data(), b.data(), out.data());
        expect(out, "select", [&](std::size_t lane) { return mask[lane] != 0 ? a[lane] : b[lane]; });

        on_.splat(a[0], out.data());
        // 0 + -0 is 0: splat is not for the sign of a zero.
        expect(out, "splat", [&](std::size_t) { return a[0] + T(0); });
        on_.infinity(out.data());
        expect(out, "infinity", [](std::size_t) { return std::numeric_limits<T>::infinity(); });

        on_.absolute(a.data(), out.data());
        expect(out, "absolute", [&](std::size_t lane) { return std::abs(a[lane]); });
        on_.minimum(a.data(), b.data(), out.data());
        for (std::size_t lane = 0; lane < width_; ++lane)
            check(out[lane] == (a[lane] < b[lane] ? a[lane] : b[lane]), label_ + "minimum");

        // Where the first is no number the second is taken.
        std::vector<T> none(width_, std::numeric_limits<T>::quiet_NaN());
        on_.minimum(none.data(), b.data(), out.data());
        expect(out, "minimum of none", [&](std::size_t lane) { return b[lane]; });
        on_.maximum(none.data(), b.data(), out.data());
        expect(out, "maximum of none", [&](std::size_t lane) { return b[lane]; });

        const std::vector<T> p = draws(width_, true), q = draws(width_, true);
        std::vector<T> r = draws(width_, true);
        // A sum that almost cancels shows whether the product was rounded by itself.
        for (std::size_t lane = 0; lane < width_; lane += 2) r[lane] = -(p[lane] * q[lane]);
        on_.fused(p.data(), q.data(), r.data(), out.data());
        expect(out, "fused", [&](std::size_t lane) {
            return on_.fuses ? std::fma(p[lane], q[lane], r[lane]) : p[lane] * q[lane] + r[lane];
        });

        std::vector<T> squares(width_);
        for (std::size_t lane = 0; lane < width_; ++lane) squares[lane] = std::abs(a[lane]);
        on_.square_root(squares.data(), out.data());
        expect(out, "square_root", [&](std::size_t lane) { return std::sqrt(squares[lane]); });

        std::uniform_real_distribution<double> exponent(-100, 100);
        std::vector<T> above(width_), below(width_);
        for (int trial = 0; trial < 200; ++trial) {
            for (std::size_t lane = 0; lane < width_; ++lane) {
                const double power = exponent(random_);
                below[lane] = T(std::exp2(power));
                above[lane] = T(std::exp2(std::clamp(power + exponent(random_), -100.0, 100.0)));
            }
            above[0] = T(0);
            on_.quotient(above.data(), below.data(), out.data());
            for (std::size_t lane = 0; lane < width_; ++lane) {
                const T wanted = above[lane] / below[lane];
                if (std::abs(std::log2(wanted)) > 100 && lane > 0) continue;
                check(std::abs(out[lane] - wanted) <= 2 * std::numeric_limits<T>::epsilon() * wanted,
                      label_ + "quotient");
            }
        }
    }

    void whole() {
        const std::vector<T> v = draws(width_);
        const T entering = draw_finite();
        std::vector<T> out(width_);
        std::vector<T> finite(width_);
        for (T& value : finite) value = draw_finite();
        on_.least_lane(finite.data(), out.data());
        const T least_value = *std::min_element(finite.begin(), finite.end());
        check(std::all_of(out.begin(), out.end(), [&](T value) { return value == least_value; }),
              label_ + "least_lane");
        // Each lane's least, and a second that is not below it.
        std::vector<T> second(width_), all = finite;
        for (std::size_t lane = 0; lane < width_; ++lane) {
            second[lane] = std::max(finite[lane], draw_finite());
            all.push_back(second[lane]);
        }
        on_.two_least_lanes(finite.data(), second.data(), out.data());
        std::sort(all.begin(), all.end());
        check(out[0] == all[0] && out[1] == all[1], label_ + "two_least_lanes");
        on_.maximum(finite.data(), second.data(), out.data());
        check(out == second, label_ + "maximum");
        std::vector<typename LaneOperations<T>::Int> mask(width_);
        unsigned wanted_bits = 0;
        for (std::size_t lane = 0; lane < width_; ++lane) {
            mask[lane] = random_() % 2 == 0 ? 0 : -1;
            wanted_bits |= mask[lane] != 0 ? 1u << lane : 0u;
        }
        check(on_.bits(mask.data()) == wanted_bits, label_ + "bits");
        for (std::size_t count = 0; count <= width_; ++count) {
            // Memory of exactly so many elements: a sanitizer sees what is read past it.
            const std::vector<T> first(v.begin(), v.begin() + static_cast<std::ptrdiff_t>(count));
            on_.load_first(first.data(), static_cast<int>(count), entering, out.data());
            expect(out, "load_first", [&](std::size_t lane) { return lane < count ? v[lane] : entering; });
        }
        on_.shift_down(v.data(), entering, out.data());
        expect(out, "shift_down", [&](std::size_t lane) { return lane + 1 < width_ ? v[lane + 1] : entering; });

        const std::vector<T> square = draws(width_ * width_);
        std::vector<T> turned(width_ * width_), wanted(width_ * width_);
        on_.transpose(square.data(), turned.data());
        for (std::size_t row = 0; row < width_; ++row)
            for (std::size_t lane = 0; lane < width_; ++lane) wanted[row * width_ + lane] = square[lane * width_ + row];
        check(same_bits(turned, wanted), label_ + "transpose");
        lines(v, entering);
    }

    // Every line is a memory of its own: a sanitizer sees what is read past it.
    void lines(const std::vector<T>& v, T fill) {
        std::vector<std::vector<T>> values(width_);
        std::vector<const T*> at(width_);
        std::vector<T> turned(width_ * width_), wanted(width_ * width_);
        const auto draw_lines = [&](std::size_t length) {
            for (std::size_t line = 0; line < width_; ++line) {
                values[line] = draws(length);
                at[line] = values[line].data();
            }
        };
        draw_lines(width_ + 3);
        on_.load_turned(at.data(), 3, turned.data());
        for (std::size_t column = 0; column < width_; ++column)
            for (std::size_t line = 0; line < width_; ++line) wanted[column * width_ + line] = values[line][column + 3];
        check(same_bits(turned, wanted), label_ + "load_turned");

        const std::size_t half = width_ / 2;
        turned.resize(half * width_);
        wanted.resize(half * width_);
        for (std::size_t count = 0; count <= half; ++count) {
            draw_lines(count);
            on_.turn_halves(at.data(), static_cast<int>(count), fill, turned.data());
            for (std::size_t column = 0; column < half; ++column)
                for (std::size_t line = 0; line < width_; ++line)
                    wanted[column * width_ + line] = column < count ? values[line][column] : fill;
            check(same_bits(turned, wanted), label_ + "load_halves and transpose");
        }

        std::vector<typename LaneOperations<T>::Int> set(width_);
        for (auto& word : set) word = static_cast<typename LaneOperations<T>::Int>(random_());
        std::vector<T> x = draws(width_, true), out(width_);
        for (const int bit : {0, 5, static_cast<int>(width_) - 1}) {
            on_.add_where(set.data(), bit, x.data(), v.data(), out.data());
            for (std::size_t lane = 0; lane < width_; ++lane)
                check(out[lane] == ((set[lane] >> bit & 1) != 0 ? x[lane] + v[lane] : x[lane]), label_ + "add_where");
        }
    }

    const LaneOperations<T>& on_;
    const std::size_t width_;
    const std::string label_;
    std::mt19937_64 random_{7};
};

}  // namespace

int main() {
    for (const Isa isa : available_isas()) {
        Lanes<float>(isa).run();
        Lanes<double>(isa).run();
    }
    return report();
}
