// The first pass over the series of a call: every value is finite, and frames have length 1 where the metric wants it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "core/ragged.hpp"
#include "warping/problem.hpp"

namespace coalign::warping {

// Element `element` of item `item` of a side is NaN or infinite.
struct BadValue {
    int side;
    std::int64_t item, element;
};

// Writes a frame of length 1, or of zeros if it has none, and returns its length. `out` may be the frame itself.
template <class T>
T normalise_frame(const T* frame, std::int64_t dim, T* out);

template <class T>
class Inputs {
   public:
    // `y` has no items where one collection is compared with itself.
    Inputs(Metric metric, const Ragged& x, const Ragged& y) : is_unit_(metric == Metric::cosine), sides_{x, y} {}

    // Finds the first bad value, whichever thread meets one first. Once the pulse has stopped, the answer means
    // nothing.
    std::optional<BadValue> check(int threads, double work_per_thread, Pulse& pulse);

    // The sides as the engines read them: for the cosine copies, in which zero frames are left at zero.
    const Ragged& x() const { return sides_[0]; }
    const Ragged& y() const { return sides_[1]; }

   private:
    void place_unit_frames(int side);

    bool is_unit_;
    Ragged sides_[2];
    Buffer<T> frames_[2];
    std::vector<const void*> items_[2];
};

extern template class Inputs<float>;
extern template class Inputs<double>;

}  // namespace coalign::warping
