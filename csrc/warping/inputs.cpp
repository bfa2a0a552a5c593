#include "warping/inputs.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/batch_run.hpp"
#include "core/finite.hpp"

namespace coalign::warping {
namespace {

// Elements between two looks at the pulse, well under a millisecond apart.
constexpr std::int64_t kStretch = 1 << 18;

// False when the call is to stop.
template <class T>
[[nodiscard]] bool is_finite(const T* values, std::int64_t count, bool& finite, Pacer& pacer) {
    for (std::int64_t at = 0; at < count && finite; at += kStretch) {
        const std::int64_t stretch = std::min(kStretch, count - at);
        finite = first_not_finite(values + at, stretch) == stretch;
        if (!pacer.proceed(stretch)) return false;
    }
    return true;
}

}  // namespace

template <class T>
T normalise_frame(const T* frame, std::int64_t dim, T* out) {
    // Scaled by the largest value first: the squares neither overflow nor vanish.
    T largest = 0, sum = 0;
    for (std::int64_t d = 0; d < dim; ++d) largest = std::max(largest, std::abs(frame[d]));
    if (!(largest > 0)) {
        std::fill_n(out, dim, T(0));
        return 0;
    }
    for (std::int64_t d = 0; d < dim; ++d) sum += (frame[d] / largest) * (frame[d] / largest);
    const T norm = std::sqrt(sum);
    for (std::int64_t d = 0; d < dim; ++d) out[d] = frame[d] / largest / norm;
    return largest * norm;
}

// Room for copies, where the items are to be read from later.
template <class T>
void Inputs<T>::place_unit_frames(int side) {
    const Ragged& batch = sides_[side];
    const T* at = frames_[side].reserve(static_cast<std::int64_t>(batch.elements()));
    for (std::int64_t p = 0; p < batch.count; ++p) {
        items_[side].push_back(at);
        at += batch.rows_of(p) * batch.columns;
    }
}

template <class T>
std::optional<BadValue> Inputs<T>::check(int threads, double work_per_thread, Pulse& pulse) {
    if (is_unit_)
        for (const int side : {0, 1}) place_unit_frames(side);
    // Items of both sides in one row.
    const std::int64_t split = x().count, count = split + y().count;
    std::atomic<std::int64_t> first{count};
    const auto visit = [&](Pacer& pacer, std::int64_t p, std::int64_t) {
        const int side = p < split ? 0 : 1;
        const std::int64_t item = side == 0 ? p : p - split;
        const Ragged& batch = sides_[side];
        const std::int64_t dim = batch.columns, frames = batch.rows_of(item);
        const T* const from = batch.template begin_of<T>(item);
        bool finite = true;
        if (!is_finite(from, frames * dim, finite, pacer)) return p;
        for (std::int64_t known = first; !finite && p < known && !first.compare_exchange_weak(known, p);) continue;
        if (!is_unit_) return p + 1;
        T* const out = const_cast<T*>(static_cast<const T*>(items_[side][static_cast<std::size_t>(item)]));
        for (std::int64_t t = 0; t < frames; ++t) {
            normalise_frame(from + t * dim, dim, out + t * dim);
            if (!pacer.proceed(dim)) return p;
        }
        return p + 1;
    };
    run_batch(
        count, x().elements() + y().elements(), threads, work_per_thread, pulse, [&] { return Pacer(pulse); }, visit);
    if (pulse.stopped()) return std::nullopt;
    if (first < count) {
        const int side = first < split ? 0 : 1;
        const std::int64_t item = side == 0 ? first.load() : first - split;
        const std::int64_t size = sides_[side].rows_of(item) * sides_[side].columns;
        // Another thread may have overwritten it by now.
        const std::int64_t at = first_not_finite(sides_[side].template begin_of<T>(item), size);
        return BadValue{side, item, std::min(at, size - 1)};
    }
    for (const int side : {0, 1}) {
        if (!is_unit_) break;
        sides_[side].items = items_[side].data();
        sides_[side].row_strides = sides_[side].column_strides = nullptr;
    }
    return std::nullopt;
}

template class Inputs<float>;
template class Inputs<double>;
template float normalise_frame(const float*, std::int64_t, float*);
template double normalise_frame(const double*, std::int64_t, double*);

}  // namespace coalign::warping
