// What the tests of warping kernels hand over: batches of series and windows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

#include "check.hpp"
#include "core/parallel.hpp"
#include "noise.hpp"
#include "warping.hpp"
#include "warping/window.hpp"

namespace coalign::testing {

// A batch in "device" memory: padded, with strides that leave room between its elements.
template <class T>
struct SeriesBatch {
    std::vector<T> values;
    std::vector<std::int64_t> lengths;
    cuda::SeriesArray view;
    Noise<std::uint64_t> bad{1};

    SeriesBatch(const std::vector<std::vector<T>>& items, std::int64_t dim, std::int64_t gap) {
        std::int64_t longest = 0;
        for (const auto& item : items) longest = std::max(longest, static_cast<std::int64_t>(item.size()) / dim);
        const std::int64_t frame = dim * gap, size = longest * frame + gap;
        values.assign(items.size() * static_cast<std::size_t>(size), std::numeric_limits<T>::quiet_NaN());
        for (std::size_t i = 0; i < items.size(); ++i) {
            for (std::size_t e = 0; e < items[i].size(); ++e)
                values[i * static_cast<std::size_t>(size) + e * static_cast<std::size_t>(gap)] = items[i][e];
            lengths.push_back(static_cast<std::int64_t>(items[i].size()) / dim);
        }
        const auto count = static_cast<std::int64_t>(items.size());
        bad = Noise<std::uint64_t>(count);
        view = {{values.data(), nullptr, count, longest, dim, size, frame, gap, lengths.data()}, nullptr, bad.get()};
    }
};

// The row bounds of a window, as the host hands them over.
inline std::vector<std::int32_t> trimmed(const warping::Window& window, std::int64_t n, std::int64_t m) {
    std::vector<warping::Range> ranges;
    Pulse pulse(nullptr);
    Pacer pacer(pulse);
    check(warping::row_ranges(window, n, m, ranges, pacer));
    std::vector<std::int32_t> out;
    for (const warping::Range& range : ranges) {
        out.push_back(static_cast<std::int32_t>(range.start));
        out.push_back(static_cast<std::int32_t>(range.stop));
    }
    return out;
}

}  // namespace coalign::testing
