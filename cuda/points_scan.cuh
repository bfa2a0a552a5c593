// The points of one side against some of the other: costs are made in registers, tile by tile, and never stored.
//
// A block of 16 x 16 threads holds tiles of both sides against each other. A thread has 8 x 8 cells in float32, so that
// a dimension takes 64 multiply-adds for 16 numbers from shared memory, and 4 x 4 in float64.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "points_problem.cuh"
#include "transport_sweep.cuh"

namespace coalign::cuda {

// Threads of a block along either side, and dimensions that are in shared memory at a time.
inline constexpr int kAlong = 16, kSlab = 8;
static_assert(kAlong * kAlong == kTransportThreads);

// Points of a thread on either side, and those of all threads along it.
template <class K>
inline constexpr int kEach = sizeof(K) == sizeof(float) ? 8 : 4;
template <class K>
inline constexpr int kSpan = kAlong * kEach<K>;

// Of the others' exponents: what their potentials add, and what their norms do.
template <class K>
struct Level {
    K potential, norm;
};

template <class K>
struct alignas(16) Slabs {
    Pack<K> own[kSlab][kSpan<K> / Pack<K>::kSize], other[kSlab][kSpan<K> / Pack<K>::kSize];
    Level<K> level[kSpan<K>];
};

__device__ inline float root(float a) {
    return sqrtf(a);
}
__device__ inline double root(double a) {
    return sqrt(a);
}
// One instruction; exp2f spends three more on what is below the least normal number, and counts for nothing in a sum.
__device__ inline float power_of_2(float a) {
#ifdef __CUDA_ARCH__
    float out;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(a));
    return out;
#else
    return exp2f(a);
#endif
}
__device__ inline double power_of_2(double a) {
    return exp2(a);
}

// Which of its span's points a thread's e-th is: packs lie beside those of its neighbours.
template <class K>
__device__ inline int place_of(int thread, int e) {
    constexpr int kSize = Pack<K>::kSize;
    return e / kSize * kAlong * kSize + thread * kSize + e % kSize;
}

template <class K>
__device__ inline Pack<K> load_pack(const K* tiles, int dimension, int span, int k, int pack) {
    constexpr int each = kTilePoints / kSpan<K>;
    const K* const row =
        tiles + (static_cast<std::int64_t>(span / each) * dimension + k) * kTilePoints + span % each * kSpan<K>;
    return reinterpret_cast<const Pack<K>*>(row)[pack];
}

// What one dimension adds to a thread's cells.
template <class K, bool kProducts>
__device__ inline void add_dimension(const Slabs<K>& slabs, int k, int x, int y, K (&sums)[kEach<K>][kEach<K>]) {
    constexpr int kSize = Pack<K>::kSize, kPacks = kEach<K> / kSize;
    Pack<K> own[kPacks], other[kPacks];
#pragma unroll
    for (int p = 0; p < kPacks; ++p) {
        own[p] = slabs.own[k][p * kAlong + y];
        other[p] = slabs.other[k][p * kAlong + x];
    }
#pragma unroll
    for (int r = 0; r < kEach<K>; ++r)
#pragma unroll
        for (int c = 0; c < kEach<K>; ++c) {
            const K a = own[r / kSize].value[r % kSize], b = other[c / kSize].value[c % kSize];
            if constexpr (kProducts) {
                sums[r][c] = fused(a, b, sums[r][c]);
            } else {
                const K gap = a - b;
                sums[r][c] = fused(gap, gap, sums[r][c]);
            }
        }
}

// Calls cells(sums, level), the levels in shared memory, for each span of the others from `first` to `last`; the own
// span stays. level_of(point) is asked for every point of the others, also past the last.
template <class K, bool kProducts, class LevelOf, class Cells>
__device__ void each_span(const K* own, int own_span, const K* others, int first, int last, int dimension,
                          LevelOf&& level_of, Cells&& cells) {
    auto& slabs = *shared_memory<Slabs<K>>();
    const int me = static_cast<int>(threadIdx.x), x = me % kAlong, y = me / kAlong;
    // A thread brings one pack of either slab.
    constexpr int kPacks = kSpan<K> / Pack<K>::kSize;
    static_assert(kSlab * kPacks == static_cast<int>(kTransportThreads));
    const int row = me / kPacks, pack = me % kPacks;
    Pack<K> next_own{}, next_other{};
    Level<K> next_level{};
    const auto fetch = [&](int span, int begin) {
        if (begin + row < dimension) {
            next_own = load_pack(own, dimension, own_span, begin + row, pack);
            next_other = load_pack(others, dimension, span, begin + row, pack);
        }
        if (begin == 0 && me < kSpan<K>) next_level = level_of(static_cast<std::int64_t>(span) * kSpan<K> + me);
    };
    if (first < last) fetch(first, 0);
    for (int span = first; span < last; ++span) {
        K sums[kEach<K>][kEach<K>] = {};
        for (int begin = 0; begin < dimension; begin += kSlab) {
            __syncthreads();
            slabs.own[row][pack] = next_own;
            slabs.other[row][pack] = next_other;
            if (begin == 0 && me < kSpan<K>) slabs.level[me] = next_level;
            __syncthreads();
            // The next slab is on its way while this one is used.
            if (begin + kSlab < dimension) fetch(span, begin + kSlab);
            else if (span + 1 < last) fetch(span + 1, 0);
            if (begin + kSlab <= dimension) {
#pragma unroll
                for (int k = 0; k < kSlab; ++k) add_dimension<K, kProducts>(slabs, k, x, y, sums);
            } else {
#pragma unroll 1
                for (int k = 0; begin + k < dimension; ++k) add_dimension<K, kProducts>(slabs, k, x, y, sums);
            }
        }
        cells(sums, slabs.level);
    }
    // The last levels have been read before anything else goes where they lie.
    __syncthreads();
}

// The same for the form that is summed.
template <class K, class LevelOf, class Cells>
__device__ void each_span_of(Form form, const K* own, int own_span, const K* others, int first, int last, int dimension,
                             LevelOf&& level_of, Cells&& cells) {
    if (form == Form::products) {
        each_span<K, true>(own, own_span, others, first, last, dimension, level_of, cells);
        return;
    }
    const bool is_root = form == Form::roots;
    each_span<K, false>(own, own_span, others, first, last, dimension, level_of,
                        [&](K(&sums)[kEach<K>][kEach<K>], const Level<K>* levels) {
                            if (is_root)
#pragma unroll
                                for (int r = 0; r < kEach<K>; ++r)
#pragma unroll
                                    for (int c = 0; c < kEach<K>; ++c) sums[r][c] = root(sums[r][c]);
                            cells(sums, levels);
                        });
}

inline constexpr double kLog2E = 0x1.71547652b82fep+0, kLn2 = 0x1.62e42fefa39efp-1;

// What stands in the exponents of a point beside its potential and products.
__device__ inline double constant_of(const PointExponents& exponents, int side, double norm) {
    return -exponents.norm_slope * norm - (side == kX ? exponents.constant : 0);
}

// What the points of a side add to the exponents of the other side's sums.
struct Levels {
    const double *potentials, *log_weights, *norms;
    std::int64_t count;
    double over_unit, norm_slope, constant;

    // In powers of 2 and rounded to K; -inf past the last and without weight.
    template <class K>
    __device__ K at(std::int64_t i) const {
        if (i >= count) return -kInfinity<K>;
        return static_cast<K>(kLog2E *
                              (fma(potentials[i], over_unit, log_weights[i]) - fma(norm_slope, norms[i], constant)));
    }
};

// Potentials of rows have no unit, those of columns are times epsilon.
template <int kSide, class T>
__device__ Levels levels_of(const PointProblem<T>& of, const PointExponents& exponents) {
    const Points<T>& cloud = of.cloud[kSide];
    const bool is_x = kSide == kX;
    return {is_x ? of.row_potential() : of.columns_now(),
            cloud.log_weights,
            cloud.norms,
            cloud.count,
            is_x ? 1 : 1 / of.state->epsilon,
            exponents.norm_slope,
            is_x ? exponents.constant : 0};
}

// What a block has in shared memory: slabs, the sums of its threads, and whence levels come.
template <class K>
inline constexpr std::size_t kSumsAt = sizeof(Slabs<K>);
template <class K>
inline constexpr std::size_t kSumsBytes = 2 * kEach<K> * kTransportThreads * sizeof(K);
template <class K>
inline constexpr std::size_t kScanBytes = kSumsAt<K> + kSumsBytes<K> + sizeof(Levels);

// The log-sum-exps of a thread's points, from the greatest exponent so far: powers of 2, in shared memory, as registers
// hold the cells.
template <class K>
class RunningSums {
   public:
    __device__ RunningSums() : most_(reinterpret_cast<K*>(shared_memory<unsigned char>() + kSumsAt<K>) + threadIdx.x) {
#pragma unroll
        for (int r = 0; r < kEach<K>; ++r) {
            // No exponent is as low, but the ones that do not count.
            most(r) = -kLargest<K> / 4;
            sum(r) = 0;
        }
    }
    __device__ void add(K slope, const K (&sums)[kEach<K>][kEach<K>], const K (&level)[kEach<K>]) {
#pragma unroll
        for (int r = 0; r < kEach<K>; ++r) {
            const K before = most(r);
            K exponent[kEach<K>], greatest = before, more = 0;
#pragma unroll
            for (int c = 0; c < kEach<K>; ++c) {
                exponent[c] = fused(slope, sums[r][c], level[c]);
                greatest = greater(greatest, exponent[c]);
            }
#pragma unroll
            for (int c = 0; c < kEach<K>; ++c) more += power_of_2(exponent[c] - greatest);
            sum(r) = fused(sum(r), power_of_2(before - greatest), more);
            most(r) = greatest;
        }
    }
    // Over the threads that have the same points; all of them get it.
    __device__ LogSum gathered(int r) {
        const K own = most(r);
        K all = own;
#pragma unroll
        for (int lanes = kAlong / 2; lanes > 0; lanes /= 2) all = greater(all, __shfl_xor_sync(kWholeWarp, all, lanes));
        double total = static_cast<double>(sum(r) * power_of_2(own - all));
#pragma unroll
        for (int lanes = kAlong / 2; lanes > 0; lanes /= 2) total += __shfl_xor_sync(kWholeWarp, total, lanes);
        return total > 0 ? LogSum{kLn2 * static_cast<double>(all), total} : LogSum{-kInfinity<double>, 0};
    }

   private:
    __device__ K& most(int r) { return most_[2 * r * static_cast<int>(kTransportThreads)]; }
    __device__ K& sum(int r) { return most_[(2 * r + 1) * static_cast<int>(kTransportThreads)]; }

    K* most_;
};

// Where a share of the work lies: a tile of a side, against a part of the other.
struct Share {
    std::int64_t tile, part, parts, first, last;  // tiles of the other side

    __device__ Share(std::int64_t share, std::int64_t tiles, std::int64_t other_tiles)
        : tile(share % tiles), part(share / tiles), parts(count_parts(tiles, other_tiles)) {
        const std::int64_t size = (other_tiles + parts - 1) / parts;
        first = part * size < other_tiles ? part * size : other_tiles;
        last = first + size < other_tiles ? first + size : other_tiles;
    }
};

// Spans of a tile.
template <class K>
inline constexpr int kSpans = kTilePoints / kSpan<K>;

// The sums of a tile of a side over a part of the other: of every point the log-sum-exp, but for its own constant.
template <class K, int kSide, class T>
__device__ void sum_share(const PointProblem<T>& of, const Share& share) {
    const PointExponents exponents = exponents_of<K>(of, of.state->epsilon);
    const auto slope = static_cast<K>(kLog2E * exponents.slope);
    const int x = static_cast<int>(threadIdx.x) % kAlong, y = static_cast<int>(threadIdx.x) / kAlong;
    // There, they take no registers beside the cells.
    auto& levels_there = *reinterpret_cast<Levels*>(shared_memory<unsigned char>() + kSumsAt<K> + kSumsBytes<K>);
    if (threadIdx.x == 0) levels_there = levels_of<1 - kSide>(of, exponents);
    __syncthreads();
    LogSum* const out = of.sums + share.part * count_tiles(of.cloud[kSide].count) * kTilePoints;
    for (int s = 0; s < kSpans<K>; ++s) {
        const int span = static_cast<int>(share.tile) * kSpans<K> + s;
        if (static_cast<std::int64_t>(span) * kSpan<K> >= of.cloud[kSide].count) break;
        RunningSums<K> running;
        each_span_of<K>(
            exponents.form, of.cloud[kSide].template tiles<K>(), span, of.cloud[1 - kSide].template tiles<K>(),
            static_cast<int>(share.first) * kSpans<K>, static_cast<int>(share.last) * kSpans<K>,
            static_cast<int>(of.dimension), [&](std::int64_t j) { return Level<K>{levels_there.at<K>(j), 0}; },
            [&](K(&sums)[kEach<K>][kEach<K>], const Level<K>* levels) {
                K level[kEach<K>];
#pragma unroll
                for (int c = 0; c < kEach<K>; ++c) level[c] = levels[place_of<K>(x, c)].potential;
                running.add(slope, sums, level);
            });
#pragma unroll
        for (int r = 0; r < kEach<K>; ++r) {
            const LogSum sum = running.gathered(r);
            if (x == 0) out[static_cast<std::int64_t>(span) * kSpan<K> + place_of<K>(y, r)] = sum;
        }
    }
}

// What the plan has of a tile of a side in a part of the other, at the potentials that are returned: each point's mass,
// and its costs over epsilon.
template <int kSide, class T>
__device__ void weigh_share(const PointsCall& call, const PointProblem<T>& of, std::int64_t p, const Share& share) {
    using K = double;
    const TransportOutput<T> out(call, of, p);
    const double epsilon = of.state->target, over = 1 / epsilon;
    const PointExponents exponents = exponents_of<K>(of, epsilon);
    const int x = static_cast<int>(threadIdx.x) % kAlong, y = static_cast<int>(threadIdx.x) / kAlong;
    const T* const potentials[2] = {out.f, out.g};
    const auto level_of = [&](int side, std::int64_t i) {
        if (i >= of.cloud[side].count) return Level<K>{-kInfinity<K>, 0};
        return Level<K>{static_cast<double>(potentials[side][i]) * over,
                        constant_of(exponents, side, of.cloud[side].norms[i])};
    };
    LogSum* const results = of.sums + share.part * count_tiles(of.cloud[kSide].count) * kTilePoints;
    for (int s = 0; s < kSpans<K>; ++s) {
        const int span = static_cast<int>(share.tile) * kSpans<K> + s;
        if (static_cast<std::int64_t>(span) * kSpan<K> >= of.cloud[kSide].count) break;
        double mass[kEach<K>] = {}, costs[kEach<K>] = {};
        Level<K> own[kEach<K>];
#pragma unroll
        for (int r = 0; r < kEach<K>; ++r)
            own[r] = level_of(kSide, static_cast<std::int64_t>(span) * kSpan<K> + place_of<K>(y, r));
        each_span_of<K>(
            exponents.form, of.cloud[kSide].wide, span, of.cloud[1 - kSide].wide,
            static_cast<int>(share.first) * kSpans<K>, static_cast<int>(share.last) * kSpans<K>,
            static_cast<int>(of.dimension), [&](std::int64_t j) { return level_of(1 - kSide, j); },
            [&](K(&sums)[kEach<K>][kEach<K>], const Level<K>* levels) {
#pragma unroll
                for (int c = 0; c < kEach<K>; ++c) {
                    const Level<K> level = levels[place_of<K>(x, c)];
#pragma unroll
                    for (int r = 0; r < kEach<K>; ++r) {
                        const double cost = -fused(exponents.slope, sums[r][c], own[r].norm + level.norm);
                        // The difference first: where f and C are large and alike, it is exact.
                        const double plan = exp(own[r].potential - cost + level.potential);
                        mass[r] += plan;
                        if (plan > 0) costs[r] = fused(plan, cost, costs[r]);
                    }
                }
            });
#pragma unroll
        for (int r = 0; r < kEach<K>; ++r) {
#pragma unroll
            for (int lanes = kAlong / 2; lanes > 0; lanes /= 2) {
                mass[r] += __shfl_xor_sync(kWholeWarp, mass[r], lanes);
                costs[r] += __shfl_xor_sync(kWholeWarp, costs[r], lanes);
            }
            if (x == 0) results[static_cast<std::int64_t>(span) * kSpan<K> + place_of<K>(y, r)] = {costs[r], mass[r]};
        }
    }
}

}  // namespace coalign::cuda
