#include <utility>

#include "core/lanes.hpp"
#include "warping/local_sum.hpp"
#include "warping/small_pair.hpp"

namespace coalign::COALIGN_SET {
namespace {

using warping::kMostSmallVectors;
using warping::SmallPass;

// Each lane takes its lower neighbour's value; the lowest takes that of the top lane of `below`.
template <class T, int... I>
[[gnu::always_inline]] inline Vec<T> shift_up(Vec<T> v, Vec<T> below, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(below, v, (I + kWidth<T> - 1)...);
}

// The best of the cells before, and the local costs of frames that begin at `x` and `y`.
template <class T, Local kLocal>
[[gnu::always_inline]] inline Vec<T> add_frames(const SmallPass<T>& pass, const T* x, const T* y, Vec<T> best) {
    if constexpr (is_univariate(kLocal)) {
        return add_local<T, kLocal>(best, load(x) - load(y));
    } else {
        Vec<T> sum{};
        for (std::int64_t k = 0; k < pass.dim; ++k)
            sum = accumulate<T, kLocal>(sum, load(x + k * pass.x_stride), load(y + k * pass.y_stride));
        return best + finish<T, kLocal>(sum);
    }
}

// kVectors: how many of them a diagonal has, or 0 for any number. The last two diagonals stay in registers. One that
// was read a lane further off than it had been stored waited for that, 7 ns each.
template <class T, Local kLocal, int kVectors, bool kMasked>
void run_vectors(const SmallPass<T>& pass) {
    constexpr int width = kWidth<T>, most = kVectors > 0 ? kVectors : kMostSmallVectors;
    constexpr auto lanes = std::make_integer_sequence<int, width>{};
    const int vectors = kVectors > 0 ? kVectors : pass.vectors;
    Vec<T> before[most], corner[most];
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
        before[v] = infinity<T>();
        corner[v] = load(pass.corner + v * width);
    }
    const Vec<T> masks[2] = {load(pass.masks), load(pass.masks + width)};
    const T *x = pass.x, *y = pass.y;
    T* values = pass.values;
    bool is_down = pass.begins_down;
    for (std::int64_t d = 0; d < pass.diagonals; ++d, is_down = !is_down) {
        Vec<T> below = infinity<T>();
#pragma GCC unroll 4
        for (int v = 0; v < vectors; ++v) {
            const Vec<T> same = before[v];
            Vec<T> best = minimum(corner[v], same);
            if (is_down) {
                const Vec<T> left = shift_down<T>(same, v + 1 < vectors ? before[v + 1] : infinity<T>(), lanes);
                best = minimum(best, left);
                if (kMasked && v == vectors - 1) best = maximum(best, masks[1]);
            } else {
                best = minimum(best, shift_up<T>(same, below, lanes));
                if (kMasked && v == vectors - 1) best = maximum(best, masks[0]);
            }
            below = corner[v] = same;
            before[v] = add_frames<T, kLocal>(pass, x + v * width, y + v * width, best);
        }
        if (values != nullptr) {
#pragma GCC unroll 4
            for (int v = 0; v < vectors; ++v) store(values + v * width, before[v]);
            values += vectors * width;
        }
        // A diagonal further down begins at the next frame of x, and the one behind it at the next of y.
        if (is_down) --y;
        else ++x;
    }
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) store(pass.last + v * width, before[v]);
}

template <class T, Local kLocal, bool kMasked>
void run(const SmallPass<T>& pass) {
    switch (pass.vectors) {
        case 1:
            return run_vectors<T, kLocal, 1, kMasked>(pass);
        case 2:
            return run_vectors<T, kLocal, 2, kMasked>(pass);
        case 3:
            return run_vectors<T, kLocal, 3, kMasked>(pass);
        case 4:
            return run_vectors<T, kLocal, 4, kMasked>(pass);
        default:
            return run_vectors<T, kLocal, 0, kMasked>(pass);
    }
}

// In the order of Local.
template <class T>
inline constexpr warping::SmallKernels<T> kTable{
    kWidth<T>,
    {run<T, Local::square, false>, run<T, Local::magnitude, false>, run<T, Local::square_sum, false>,
     run<T, Local::root_square_sum, false>, nullptr, nullptr, run<T, Local::magnitude_sum, false>, nullptr, nullptr},
    {run<T, Local::square, true>, run<T, Local::magnitude, true>, run<T, Local::square_sum, true>,
     run<T, Local::root_square_sum, true>, nullptr, nullptr, run<T, Local::magnitude_sum, true>, nullptr, nullptr}};

}  // namespace

template <>
const warping::SmallKernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const warping::SmallKernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
