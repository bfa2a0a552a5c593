// A number as the sum of N doubles, each about as small as the rounding of the one before: 53 N bits, for sums whose
// large terms cancel. The compiler must not reorder sums.
#pragma once

#include <cstddef>
#include <limits>

// Kernels of a GPU count this way, too.
#ifdef __CUDACC__
#define COALIGN_ANYWHERE __host__ __device__
#else
#define COALIGN_ANYWHERE
#endif

namespace coalign {

template <int N>
class Expansion {
   public:
    Expansion() = default;
    COALIGN_ANYWHERE explicit Expansion(double value) { part_[0] = value; }

    // -inf absorbs what is added to it. Sums must stay finite otherwise.
    COALIGN_ANYWHERE Expansion& operator+=(double x) {
        if (part_[0] == kNone) return *this;
        if (x == kNone) return *this = Expansion(kNone);
        for (double& part : part_) x = sum_exactly(part, x);
        for (std::size_t i = N - 1; i > 0; --i) part_[i] = sum_exactly(part_[i - 1], part_[i]);
        return *this;
    }
    COALIGN_ANYWHERE Expansion& operator+=(const Expansion& other) {
        for (const double part : other.part_) *this += part;
        return *this;
    }

    COALIGN_ANYWHERE bool is_none() const { return part_[0] == kNone; }
    // Rounded to a double.
    COALIGN_ANYWHERE double value() const {
        double sum = 0;
        for (std::size_t i = N; i > 0; --i) sum += part_[i - 1];
        return sum;
    }
    // This less `other`, rounded to a double; neither is -inf.
    COALIGN_ANYWHERE double less(const Expansion& other) const {
        Expansion difference = *this;
        for (const double part : other.part_) difference += -part;
        return difference.value();
    }

   private:
    static constexpr double kNone = -std::numeric_limits<double>::infinity();

    // Adds x to `to`, and returns what rounding has lost (Knuth, The Art of Computer Programming 2, 4.2.2).
    COALIGN_ANYWHERE static double sum_exactly(double& to, double x) {
        const double sum = to + x, of_x = sum - to;
        const double lost = (to - (sum - of_x)) + (x - of_x);
        to = sum;
        return lost;
    }

    double part_[N]{};
};

}  // namespace coalign

#undef COALIGN_ANYWHERE
