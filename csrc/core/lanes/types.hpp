// The types of lanes, and what the compiler's vector extensions do with them for every instruction set alike.
#pragma once

#include <cstdint>
#include <limits>

namespace coalign::COALIGN_SET {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX2__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <class T>
inline constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));

typedef float Float32Lanes __attribute__((vector_size(kVectorBytes)));
typedef double Float64Lanes __attribute__((vector_size(kVectorBytes)));
typedef std::int32_t Int32Lanes __attribute__((vector_size(kVectorBytes)));
typedef std::int64_t Int64Lanes __attribute__((vector_size(kVectorBytes)));
typedef std::uint32_t UInt32Lanes __attribute__((vector_size(kVectorBytes)));
typedef std::uint64_t UInt64Lanes __attribute__((vector_size(kVectorBytes)));

template <class T>
struct LaneTypes;

template <>
struct LaneTypes<float> {
    using Vec = Float32Lanes;
    using Int = std::int32_t;
    using IntVec = Int32Lanes;
    using UInt = std::uint32_t;
    using UIntVec = UInt32Lanes;
    typedef float Loose __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
    typedef std::int32_t LooseInt __attribute__((vector_size(kVectorBytes), aligned(4), may_alias));
};

template <>
struct LaneTypes<double> {
    using Vec = Float64Lanes;
    using Int = std::int64_t;
    using IntVec = Int64Lanes;
    using UInt = std::uint64_t;
    using UIntVec = UInt64Lanes;
    typedef double Loose __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
    typedef std::int64_t LooseInt __attribute__((vector_size(kVectorBytes), aligned(8), may_alias));
};

template <class T>
using Vec = typename LaneTypes<T>::Vec;
template <class T>
using IntVec = typename LaneTypes<T>::IntVec;
template <class T>
using UInt = typename LaneTypes<T>::UInt;
template <class T>
using UIntVec = typename LaneTypes<T>::UIntVec;

// Unaligned on purpose: on every supported CPU an aligned address costs the same through this form.
template <class T>
[[gnu::always_inline]] inline Vec<T> load(const T* p) {
    return *reinterpret_cast<const typename LaneTypes<T>::Loose*>(p);
}

template <class T>
[[gnu::always_inline]] inline void store(T* p, Vec<T> v) {
    *reinterpret_cast<typename LaneTypes<T>::Loose*>(p) = v;
}

template <class T>
[[gnu::always_inline]] inline IntVec<T> load_int(const typename LaneTypes<T>::Int* p) {
    return *reinterpret_cast<const typename LaneTypes<T>::LooseInt*>(p);
}

// Writes to memory, for code that goes on lane by lane; otherwise the compiler takes the vector apart in registers.
template <class T>
[[gnu::always_inline]] inline void store_lanes(IntVec<T> v, typename LaneTypes<T>::Int* out) {
    *reinterpret_cast<typename LaneTypes<T>::LooseInt*>(out) = v;
    asm volatile("" : : "r"(out) : "memory");
}

// The lowest byte of each lane.
[[gnu::always_inline]] inline void store_bytes(std::uint8_t* p, Int32Lanes v) {
    typedef std::uint8_t Bytes __attribute__((vector_size(kVectorBytes / 4), aligned(1), may_alias));
    *reinterpret_cast<Bytes*>(p) = __builtin_convertvector(v, Bytes);
}
[[gnu::always_inline]] inline void store_bytes(std::uint8_t* p, Int64Lanes v) {
    typedef std::uint8_t Bytes __attribute__((vector_size(kVectorBytes / 8), aligned(1), may_alias));
    *reinterpret_cast<Bytes*>(p) = __builtin_convertvector(v, Bytes);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> splat(T value) {
    return Vec<T>{} + value;
}

template <class T>
[[gnu::always_inline]] inline Vec<T> infinity() {
    return splat<T>(std::numeric_limits<T>::infinity());
}

[[gnu::always_inline]] inline Float32Lanes select(Int32Lanes mask, Float32Lanes a, Float32Lanes b) {
    return mask ? a : b;
}
[[gnu::always_inline]] inline Float64Lanes select(Int64Lanes mask, Float64Lanes a, Float64Lanes b) {
    return mask ? a : b;
}

[[gnu::always_inline]] inline Float32Lanes absolute(Float32Lanes v) {
    return reinterpret_cast<Float32Lanes>(reinterpret_cast<Int32Lanes>(v) & 0x7fffffff);
}
[[gnu::always_inline]] inline Float64Lanes absolute(Float64Lanes v) {
    return reinterpret_cast<Float64Lanes>(reinterpret_cast<Int64Lanes>(v) & 0x7fffffffffffffff);
}

}  // namespace coalign::COALIGN_SET
