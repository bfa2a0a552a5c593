#include "soft_warping/kernels.hpp"

#include "core/math.hpp"

namespace coalign::COALIGN_SET {
namespace {

using soft_warping::BackwardStep;
using soft_warping::ForwardStep;
using soft_warping::Frames;
using soft_warping::kMostWhole;
using soft_warping::kOutside;
using soft_warping::Local;

template <class T, Local kLocal>
[[gnu::always_inline]] inline Vec<T> local_cost(const Frames<T>& frames, std::int64_t i) {
    if constexpr (kLocal == Local::matrix) return load(frames.x + i);
    Vec<T> sum{};
    const T *x = frames.x + i, *y = frames.y + (frames.shift + i);
    for (std::int64_t d = 0; d < frames.dim; ++d) {
        const Vec<T> difference = load(x) - load(y);
        if constexpr (kLocal == Local::cosine) sum = fused(load(x), load(y), sum);
        else if constexpr (kLocal == Local::magnitude_sum) sum += absolute(difference);
        else sum = fused(difference, difference, sum);
        x += frames.x_stride;
        y += frames.y_stride;
    }
    if constexpr (kLocal == Local::root_square_sum) return square_root(sum);
    if constexpr (kLocal == Local::cosine) return maximum(splat(T(1)) - sum, Vec<T>{});
    return sum;
}

// 2^exponent of whole numbers from -bias, which gives 0, to 0.
template <class T>
[[gnu::always_inline]] inline Vec<T> power_of_two(Vec<T> exponent) {
    using C = MathConstants<T>;
    const Vec<T> shifted = exponent + (kRoundingShift<T> + C::kBias);
    return reinterpret_cast<Vec<T>>(reinterpret_cast<UIntVec<T>>(shifted) << C::kMantissaBits);
}

// The lanes below `count`.
template <class T>
[[gnu::always_inline]] inline IntVec<T> first_lanes(std::int64_t count) {
    IntVec<T> number;
#pragma GCC unroll 16
    for (int lane = 0; lane < kWidth<T>; ++lane) number[lane] = lane;
    return number < static_cast<typename LaneTypes<T>::Int>(count);
}

template <class T, Local kLocal, bool kScale, bool kRecord>
void forward(const ForwardStep<T>& step) {
    using C = MathConstants<T>;
    constexpr T ln2 = C::kLn2High + C::kLn2Low;
    // What the last vector writes past the end is nothing: later diagonals read no further than the cell that the
    // driver writes beside this one.
    for (std::int64_t i = step.begin; i < step.end; i += kWidth<T>) {
        // exp(-d / gamma) = power * 2^-n. The minimum takes its second operand where the first is NaN.
        const Vec<T> bits = minimum(local_cost<T, kLocal>(step.frames, i) * splat(step.scale), splat(kMostWhole<T>));
        const Vec<T> n = (bits + kRoundingShift<T>)-kRoundingShift<T>;
        const Vec<T> r = (n - bits) * ln2;
        const Vec<T> power = fused(fused(polynomial(C::kExp, r), r, splat(T(1))), r, splat(T(1)));

        const Vec<T> up_whole = load(step.last.whole + i - 1), left_whole = load(step.last.whole + i);
        const Vec<T> diagonal_whole = load(step.before.whole + i - 1);
        // The two that change places in the transposed pair come first, so that it has the same bits.
        const Vec<T> least = minimum(minimum(up_whole, left_whole), diagonal_whole);
        const auto aligned = [&](const T* part, Vec<T> whole) __attribute__((always_inline)) {
            return load(part) * power_of_two<T>(maximum(least - whole, splat(T(-C::kBias))));
        };
        const Vec<T> up = aligned(step.last.part + i - 1, up_whole);
        const Vec<T> left = aligned(step.last.part + i, left_whole);
        const Vec<T> diagonal = aligned(step.before.part + i - 1, diagonal_whole);
        const Vec<T> sum = (up + left) + diagonal;
        if constexpr (kRecord) {
            const Vec<T> share = splat(T(1)) / sum;
            store(step.up + (step.recorded + i), up * share);
            store(step.left + (step.recorded + i), left * share);
        }
        Vec<T> part = sum * power, whole = least + n;
        if constexpr (kScale) {
            Vec<T> exponent;
            part = split(part, exponent);
            whole = minimum(whole - exponent, splat(kOutside<T>));
        }
        store(step.out.part + i, part);
        store(step.out.whole + i, whole);
    }
}

template <class T, Local kLocal>
void backward(const BackwardStep<T>& step) {
    const Frames<T>& frames = step.frames;
    const auto advance = [&]<bool kWhole>(std::int64_t i) __attribute__((always_inline)) {
        Vec<T> visits = (load(step.next.left + i) + load(step.next.up + i + 1)) + load(step.after.diagonal + i + 1);
        if constexpr (!kWhole) visits = select(first_lanes<T>(step.end - i), visits, Vec<T>{});
        const Vec<T> up = load(step.up + (step.recorded + i)), left = load(step.left + (step.recorded + i));
        // What the others leave, so that the three add up to 1 and nothing is lost on the way.
        const Vec<T> diagonal = maximum(splat(T(1)) - (up + left), Vec<T>{});
        store(step.out.up + i, visits * up);
        store(step.out.left + i, visits * left);
        store(step.out.diagonal + i, visits * diagonal);
        store(step.visits + i, visits);
        if (step.grad_x == nullptr) return;
        Vec<T> weight = visits;
        if constexpr (kLocal == Local::root_square_sum) {
            const Vec<T> distance = local_cost<T, kLocal>(frames, i);
            weight = select(distance > Vec<T>{}, visits / distance, Vec<T>{});
        }
        for (std::int64_t d = 0; d < frames.dim; ++d) {
            const std::int64_t at_x = d * frames.x_stride + i, at_y = d * frames.y_stride + frames.shift + i;
            const Vec<T> x = load(frames.x + at_x), y = load(frames.y + at_y);
            if constexpr (kLocal == Local::cosine) {
                store(step.grad_x + at_x, fused(weight, y, load(step.grad_x + at_x)));
                store(step.grad_y + at_y, fused(weight, x, load(step.grad_y + at_y)));
                continue;
            }
            const Vec<T> difference = x - y;
            // A pair that no path visits may be farther apart than T can say.
            Vec<T> slope = select(weight > Vec<T>{}, weight * difference, Vec<T>{});
            if constexpr (kLocal == Local::magnitude_sum)
                slope = select(difference > Vec<T>{}, weight, select(difference < Vec<T>{}, -weight, Vec<T>{}));
            store(step.grad_x + at_x, load(step.grad_x + at_x) + slope);
            store(step.grad_y + at_y, load(step.grad_y + at_y) - slope);
        }
    };
    std::int64_t i = step.begin;
    for (; i + kWidth<T> <= step.end; i += kWidth<T>) advance.template operator()<true>(i);
    if (i < step.end) advance.template operator()<false>(i);
}

// In the order of Local.
template <class T>
inline constexpr soft_warping::Kernels<T> kTable{
    Isa::COALIGN_SET,
    kWidth<T>,
    {{forward<T, Local::square_sum, false, false>, forward<T, Local::square_sum, true, false>},
     {forward<T, Local::root_square_sum, false, false>, forward<T, Local::root_square_sum, true, false>},
     {forward<T, Local::magnitude_sum, false, false>, forward<T, Local::magnitude_sum, true, false>},
     {forward<T, Local::cosine, false, false>, forward<T, Local::cosine, true, false>},
     {forward<T, Local::matrix, false, false>, forward<T, Local::matrix, true, false>}},
    {{forward<T, Local::square_sum, false, true>, forward<T, Local::square_sum, true, true>},
     {forward<T, Local::root_square_sum, false, true>, forward<T, Local::root_square_sum, true, true>},
     {forward<T, Local::magnitude_sum, false, true>, forward<T, Local::magnitude_sum, true, true>},
     {forward<T, Local::cosine, false, true>, forward<T, Local::cosine, true, true>},
     {forward<T, Local::matrix, false, true>, forward<T, Local::matrix, true, true>}},
    {backward<T, Local::square_sum>, backward<T, Local::root_square_sum>, backward<T, Local::magnitude_sum>,
     backward<T, Local::cosine>, backward<T, Local::matrix>},
};

}  // namespace

template <>
const soft_warping::Kernels<float>& kernel_table() {
    return kTable<float>;
}
template <>
const soft_warping::Kernels<double>& kernel_table() {
    return kTable<double>;
}

}  // namespace coalign::COALIGN_SET
