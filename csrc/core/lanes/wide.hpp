// Lanes of float32 or float64 that are computed with in float64, and rounded back.
#pragma once

#include <utility>

#include "core/lanes.hpp"

namespace coalign::COALIGN_SET {

// Vectors of float64 that make one of T.
template <class T>
constexpr int kParts = kWidth<T> / kWidth<double>;

[[gnu::always_inline]] inline Float64Lanes widened(const float* p) {
    return load_widened(p);
}
[[gnu::always_inline]] inline Float64Lanes widened(const double* p) {
    return load(p);
}

template <int... I>
[[gnu::always_inline]] inline Float32Lanes joined(Float64Lanes low, Float64Lanes high,
                                                  std::integer_sequence<int, I...>) {
    typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
    return __builtin_shufflevector(__builtin_convertvector(low, Half), __builtin_convertvector(high, Half), I...);
}

// As many parts as make one vector, rounded.
[[gnu::always_inline]] inline Float32Lanes narrowed(const Float64Lanes (&parts)[2]) {
    return joined(parts[0], parts[1], std::make_integer_sequence<int, kWidth<float>>{});
}
[[gnu::always_inline]] inline Float64Lanes narrowed(const Float64Lanes (&parts)[1]) {
    return parts[0];
}

}  // namespace coalign::COALIGN_SET
