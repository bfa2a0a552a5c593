#include "core/lanes.hpp"
#include "warping/local_sum.hpp"
#include "warping/small_pair.hpp"

namespace coalign::COALIGN_SET {
namespace {

using warping::SmallPass;

// Every cell comes from the two diagonals before its own: what is to the left from the same row, what is above and
// across from the row before.
template <class T, Local kLocal>
void run(const SmallPass<T>& pass) {
    constexpr int width = kWidth<T>;
    T* values = pass.values;
    for (std::int64_t d = 0; d < pass.diagonals; ++d, values += pass.stride) {
        const T* const before = values - pass.stride;
        const T* const two_before = before - pass.stride;
        const T* const y = pass.y + pass.first - d;
        store(values, infinity<T>());
        for (std::int64_t i = 0; i < pass.rows; i += width) {
            const Vec<T> corner = load(two_before + width - 1 + i), left = load(before + width + i),
                         up = load(before + width - 1 + i);
            const Vec<T> best = minimum(minimum(corner, left), up);
            if constexpr (is_univariate(kLocal)) {
                store(values + width + i, add_local<T, kLocal>(best, load(pass.x + i) - load(y + i)));
            } else {
                Vec<T> sum{};
                for (std::int64_t k = 0; k < pass.dim; ++k)
                    sum = accumulate<T, kLocal>(sum, load(pass.x + k * pass.rows + i), load(y + k * pass.y_stride + i));
                store(values + width + i, best + finish<T, kLocal>(sum));
            }
        }
    }
}

// In the order of Local.
template <class T>
inline constexpr warping::SmallKernels<T> kTable{
    kWidth<T>,
    {run<T, Local::square>, run<T, Local::magnitude>, run<T, Local::square_sum>, run<T, Local::root_square_sum>,
     nullptr, nullptr, run<T, Local::magnitude_sum>, nullptr, nullptr}};

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
