#include "warping/inputs.hpp"

#include <algorithm>
#include <cmath>

#include "core/finite.hpp"

namespace coalign::warping {
namespace {

// Elements between two looks at the pulse, well under a millisecond apart.
constexpr std::int64_t kStretch = 1 << 18;

template <class T>
void normalise_frame(const T* frame, std::int64_t dim, T* out) {
    // Scaled by the largest value first: the squares neither overflow nor vanish.
    T largest = 0, sum = 0;
    for (std::int64_t d = 0; d < dim; ++d) largest = std::max(largest, std::abs(frame[d]));
    if (!(largest > 0)) {
        std::fill_n(out, dim, T(0));
        return;
    }
    for (std::int64_t d = 0; d < dim; ++d) sum += (frame[d] / largest) * (frame[d] / largest);
    const T norm = std::sqrt(sum);
    for (std::int64_t d = 0; d < dim; ++d) out[d] = frame[d] / largest / norm;
}

}  // namespace

template <class T>
std::optional<BadValue> find_bad_value(const std::vector<Series<T>>& series, std::int64_t dim, Pulse& pulse) {
    std::int64_t due = kStretch;
    for (std::size_t item = 0; item < series.size(); ++item) {
        const std::int64_t count = series[item].length * dim;
        for (std::int64_t at = 0; at < count; at += kStretch) {
            const std::int64_t stretch = std::min(kStretch, count - at);
            const std::int64_t found = first_not_finite(series[item].data + at, stretch);
            if (found < stretch) return BadValue{static_cast<std::int64_t>(item), at + found};
            due -= stretch;
            if (due > 0) continue;
            due = kStretch;
            if (!pulse.alive()) return std::nullopt;
        }
    }
    return std::nullopt;
}

template <class T>
void take_unit_frames(std::vector<Series<T>>& series, std::int64_t dim, Buffer<T>& storage, Pulse& pulse) {
    std::int64_t total = 0;
    for (const Series<T>& item : series) total += item.length * dim;
    T* out = storage.reserve(total);
    std::int64_t due = kStretch;
    for (Series<T>& item : series) {
        const T* from = item.data;
        item.data = out;
        for (std::int64_t t = 0; t < item.length; ++t, from += dim, out += dim) {
            normalise_frame(from, dim, out);
            due -= dim;
            if (due > 0) continue;
            due = kStretch;
            if (!pulse.alive()) return;
        }
    }
}

template std::optional<BadValue> find_bad_value(const std::vector<Series<float>>&, std::int64_t, Pulse&);
template std::optional<BadValue> find_bad_value(const std::vector<Series<double>>&, std::int64_t, Pulse&);
template void take_unit_frames(std::vector<Series<float>>&, std::int64_t, Buffer<float>&, Pulse&);
template void take_unit_frames(std::vector<Series<double>>&, std::int64_t, Buffer<double>&, Pulse&);

}  // namespace coalign::warping
