// What calls on series of frames share: how their arguments are read.
#pragma once

#include <algorithm>
#include <cstdint>

#include "bindings/batch.hpp"
#include "bindings/bindings.hpp"
#include "bindings/plain.hpp"
#include "warping/inputs.hpp"

namespace coalign::bindings {

inline constexpr Readable kSeries{Readable::Items::series, 1, warping::kMostFrames};

inline bool read_metric(PyObject* given, bool prepared, warping::Metric& metric) {
    if (is_text(given, "sqeuclidean")) metric = warping::Metric::sqeuclidean;
    else if (is_text(given, "euclidean")) metric = warping::Metric::euclidean;
    else if (is_text(given, "cityblock")) metric = warping::Metric::cityblock;
    else if (is_text(given, "cosine")) metric = warping::Metric::cosine;
    else if (prepared && is_text(given, "precomputed")) metric = warping::Metric::precomputed;
    else return false;
    return true;
}

// A window as callers give it, or as the general way prepares it: ("none", 0), ("band", r), ("slanted", r), ("itakura",
// (rise, run)) or ("rows", array), whose bounds are read where they lie.
class WindowArgument {
   public:
    bool read(PyObject* given, bool prepared) {
        if (given == Py_None) return true;
        std::int64_t radius = 0;
        if (read_integer(given, radius)) {
            window_ = {warping::Window::Kind::band, std::min(radius, warping::kMostFrames), nullptr};
            return radius >= 0;
        }
        if (!prepared || !PyTuple_CheckExact(given) || PyTuple_GET_SIZE(given) != 2) return false;
        PyObject *const kind = PyTuple_GET_ITEM(given, 0), *const value = PyTuple_GET_ITEM(given, 1);
        if (is_text(kind, "none")) return true;
        if (is_text(kind, "rows")) {
            PlainArray rows;
            require(
                rows.read(value) && rows.is_int64() && rows.axes() == 2 && rows.length(1) == 2 && rows.is_contiguous(),
                "window: an (N, 2) array");
            window_ = {warping::Window::Kind::rows, 0, rows.data<std::int64_t>()};
            rows_ = rows.length(0);
            return true;
        }
        if (is_text(kind, "itakura")) {
            std::int64_t rise = 0, run = 0;
            require(PyTuple_CheckExact(value) && PyTuple_GET_SIZE(value) == 2 &&
                        read_integer(PyTuple_GET_ITEM(value, 0), rise) &&
                        read_integer(PyTuple_GET_ITEM(value, 1), run) && run >= 1 && run <= kMostDigits &&
                        rise >= run && rise <= kMostDigits && rise / run <= warping::kMostFrames + 1,
                    "window: a slope of at least 1");
            window_ = {warping::Window::Kind::itakura, 0, nullptr, rise, run};
            return true;
        }
        require(read_integer(value, radius) && radius >= 0, "window: a radius of at least 0");
        window_ = {is_text(kind, "band") ? warping::Window::Kind::band : warping::Window::Kind::slanted, radius,
                   nullptr};
        return is_text(kind, "band") || is_text(kind, "slanted");
    }

    const warping::Window& window() const { return window_; }
    // Bounds row by row cover this many rows.
    void require_rows(std::int64_t length) const {
        require(window_.kind != warping::Window::Kind::rows || rows_ == length, "window: one row per frame of x");
    }

   private:
    static constexpr std::int64_t kMostDigits = std::int64_t{1} << 53;  // of a slope's fraction

    warping::Window window_;
    std::int64_t rows_ = 0;
};

// Checks the values of both sides; false when the call was stopped.
template <class T>
bool check_values(warping::Inputs<T>& inputs, int threads, double work_per_thread, Pulse& pulse) {
    if (const auto bad = inputs.check(threads, work_per_thread, pulse))
        throw NotFinite(bad->side, bad->item, bad->element);
    return !pulse.stopped();
}

}  // namespace coalign::bindings
