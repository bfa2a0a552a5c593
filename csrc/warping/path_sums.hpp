// What a path pairs with the frames of one series, added up: the means of a barycenter are made of it.
#pragma once

#include <cstdint>

#include "warping/strips.hpp"

namespace coalign::warping {

// Adds to sums (N, dim) the weighted frames of y that a path pairs with each of the N frames of x, and to counts (N,)
// their weights. `part` holds a frame. A frame's own sum comes first, then its weight: a series of weight 2 counts as
// it would twice.
template <class T>
void add_along(const ReversePath& path, const T* y, std::int64_t dim, double weight, double* part, double* sums,
               double* counts) {
    for (std::int64_t k = path.length; k > 0;) {
        const std::int64_t i = path.x[k - 1];
        double visits = 0;
        for (std::int64_t d = 0; d < dim; ++d) part[d] = 0;
        for (; k > 0 && path.x[k - 1] == i; --k, ++visits) {
            const T* const frame = y + path.y[k - 1] * dim;
            for (std::int64_t d = 0; d < dim; ++d) part[d] += static_cast<double>(frame[d]);
        }
        for (std::int64_t d = 0; d < dim; ++d) sums[i * dim + d] += weight * part[d];
        counts[i] += weight * visits;
    }
}

}  // namespace coalign::warping
