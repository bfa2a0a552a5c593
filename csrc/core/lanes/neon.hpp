// Lanes of AArch64: NEON, 16 bytes.
#pragma once

#include <arm_neon.h>

#include "core/lanes/narrow.hpp"

namespace coalign::COALIGN_SET {

// Whether any lane of a mask is set.
template <class M>
[[gnu::always_inline]] inline bool any(M mask) {
    const auto words = reinterpret_cast<Int64Lanes>(mask);
    return (words[0] | words[1]) != 0;
}

// Bit l: lane l of a mask is set.
[[gnu::always_inline]] inline unsigned bits(Int32Lanes mask) {
    const Int32Lanes set = mask & Int32Lanes{1, 2, 4, 8};
    return static_cast<unsigned>(set[0] | set[1] | set[2] | set[3]);
}
[[gnu::always_inline]] inline unsigned bits(Int64Lanes mask) {
    return static_cast<unsigned>((mask[0] & 1) | (mask[1] & 2));
}

// Bit l: lane l of a is less than lane l of b.
[[gnu::always_inline]] inline unsigned bits_less(Float64Lanes a, Float64Lanes b) {
    return bits(Int64Lanes(a < b));
}

[[gnu::always_inline]] inline Float32Lanes minimum(Float32Lanes a, Float32Lanes b) {
    return vminnmq_f32(a, b);
}
[[gnu::always_inline]] inline Float64Lanes minimum(Float64Lanes a, Float64Lanes b) {
    return vminnmq_f64(a, b);
}
[[gnu::always_inline]] inline Float32Lanes maximum(Float32Lanes a, Float32Lanes b) {
    return vmaxnmq_f32(a, b);
}
[[gnu::always_inline]] inline Float64Lanes maximum(Float64Lanes a, Float64Lanes b) {
    return vmaxnmq_f64(a, b);
}
[[gnu::always_inline]] inline Float32Lanes fused(Float32Lanes a, Float32Lanes b, Float32Lanes c) {
    return vfmaq_f32(c, a, b);
}
[[gnu::always_inline]] inline Float64Lanes fused(Float64Lanes a, Float64Lanes b, Float64Lanes c) {
    return vfmaq_f64(c, a, b);
}
[[gnu::always_inline]] inline Float32Lanes square_root(Float32Lanes v) {
    return vsqrtq_f32(v);
}
[[gnu::always_inline]] inline Float64Lanes square_root(Float64Lanes v) {
    return vsqrtq_f64(v);
}

// NaN where b is NaN.
[[gnu::always_inline]] inline Float32Lanes larger(Float32Lanes a, Float32Lanes b) {
    return vmaxq_f32(a, b);
}
[[gnu::always_inline]] inline Float64Lanes larger(Float64Lanes a, Float64Lanes b) {
    return vmaxq_f64(a, b);
}
[[gnu::always_inline]] inline Float32Lanes smaller(Float32Lanes a, Float32Lanes b) {
    return vminq_f32(a, b);
}
[[gnu::always_inline]] inline Float64Lanes smaller(Float64Lanes a, Float64Lanes b) {
    return vminq_f64(a, b);
}

}  // namespace coalign::COALIGN_SET
