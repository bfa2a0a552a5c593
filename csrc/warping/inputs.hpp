// The first pass over the series of a call: every value is finite, and frames have length 1 where the metric wants it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "warping/problem.hpp"

namespace coalign::warping {

// Element `element` of series `item` is NaN or infinite.
struct BadValue {
    std::int64_t item, element;
};

// The first bad value. Looks at the pulse now and then; once that has stopped, the answer means nothing.
template <class T>
std::optional<BadValue> find_bad_value(const std::vector<Series<T>>& series, std::int64_t dim, Pulse& pulse);

// Points the series at copies in `storage` whose frames are scaled to length 1, zero frames left at zero.
template <class T>
void take_unit_frames(std::vector<Series<T>>& series, std::int64_t dim, Buffer<T>& storage, Pulse& pulse);

}  // namespace coalign::warping
