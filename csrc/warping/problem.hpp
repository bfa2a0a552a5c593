// The words that both engines and their callers share.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "core/parallel.hpp"
#include "core/status.hpp"
#include "warping/kernels.hpp"
#include "warping/window.hpp"

namespace coalign::warping {

enum class Metric { sqeuclidean, euclidean, cityblock, cosine, precomputed };

// A series: `length` frames of the call's `dim` values, contiguous.
template <class T>
struct Series {
    const T* data;
    std::int64_t length;
};

// Lanes of float32 count columns, and a little past them, in 32 bits; windows multiply two lengths in 64.
inline constexpr std::int64_t kMostFrames = std::numeric_limits<std::int32_t>::max() - (std::int64_t{1} << 16);

inline constexpr std::int64_t kCheckpointBytes = std::int64_t{1} << 27;

struct StepPattern;

struct Options {
    Metric metric = Metric::sqeuclidean;
    Window window;
    double max_cost = std::numeric_limits<double>::infinity();
    int threads = 1;
    // Past this much memory for the checkpoints of one path, they are kept by groups of strips.
    std::int64_t checkpoint_bytes = kCheckpointBytes;
    // Null for the steps (1, 1), (1, 0) and (0, 1) of weight 1 between fixed ends, which have engines of their own.
    const StepPattern* pattern = nullptr;
};

inline Local local_cost(Metric metric, std::int64_t dim) {
    switch (metric) {
        case Metric::sqeuclidean:
            return dim == 1 ? Local::square : dim < kExpandedDim ? Local::square_sum : Local::expanded_square_sum;
        case Metric::euclidean:
            return dim == 1             ? Local::magnitude
                   : dim < kExpandedDim ? Local::root_square_sum
                                        : Local::expanded_root_square_sum;
        case Metric::cityblock:
            return dim == 1 ? Local::magnitude : Local::magnitude_sum;
        case Metric::cosine:
            return Local::cosine;
        case Metric::precomputed:
            break;
    }
    return Local::matrix;
}

// Fills fresh memory a stretch at a time: the pages of a long series take longer to touch than an interrupt may wait.
// False when the call is to stop.
template <class T>
[[nodiscard]] bool fill_paced(T* values, std::int64_t count, T value, Pacer& pacer) {
    constexpr std::int64_t stretch = 1 << 16;
    for (std::int64_t at = 0; at < count; at += stretch) {
        const std::int64_t size = std::min(stretch, count - at);
        std::fill_n(values + at, size, value);
        if (!pacer.proceed(size)) return false;
    }
    return true;
}

}  // namespace coalign::warping
