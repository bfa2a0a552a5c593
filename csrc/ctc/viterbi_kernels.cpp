#include "ctc/viterbi_kernels.hpp"

#include <cstring>

#include "core/lanes.hpp"
#include "core/reduce.hpp"

namespace coalign::COALIGN_SET {
namespace {

using ctc::EmissionPass;
using ctc::kBlock;
using ctc::LatticePass;

constexpr double kNever = -std::numeric_limits<double>::infinity();
constexpr int kLanes = kWidth<double>;
constexpr int kParts = kBlock / kLanes;  // vectors of a row of the table
// Chains of a group that hide each other's latency.
constexpr int kVectors = 4;
constexpr int kGroup = kVectors * kLanes;

// A row of float32 as float64.
struct WideRow {
    using Value = double;
    const float* values;

    [[gnu::always_inline]] Vec<double> whole(std::int64_t at) const {
        typedef float Half __attribute__((vector_size(kVectorBytes / 2)));
        Half half;
        std::memcpy(&half, values + at, sizeof(half));
        return __builtin_convertvector(half, Vec<double>);
    }
    [[gnu::always_inline]] Vec<double> part(std::int64_t at, int count, double fill) const {
        Vec<double> v = splat(fill);
        for (int lane = 0; lane < kLanes; ++lane)
            if (lane < count) v[lane] = static_cast<double>(values[at + lane]);
        return v;
    }
};

Row<double> wide(const double* values) {
    return {values};
}
WideRow wide(const float* values) {
    return {values};
}

template <class T>
bool emissions(const EmissionPass<T>& pass) {
    double* const table = pass.table;
    const auto at = [&](std::int64_t row, int frame) -> double& { return table[row * kBlock + frame]; };
    // Frames that are not there score 0 everywhere.
    const std::int64_t rows = ctc::kFirstSymbolRow + pass.count;
    if (pass.frames < kBlock) std::memset(table, 0, static_cast<std::size_t>(rows * kBlock) * sizeof(double));
    for (int k = 0; k < pass.frames; ++k) {
        const T* const row = pass.rows + k * pass.row_stride;
        at(ctc::kBlankRow, k) = static_cast<double>(row[pass.blank]);
        at(ctc::kNeverRow, k) = at(ctc::kBestLabelRow, k) = at(ctc::kBestRow, k) = kNever;
        if (pass.any_label || pass.any) {
            const T below = row_max(Row<T>{row}, pass.blank);
            const T above = row_max(Row<T>{row + pass.blank + 1}, pass.columns - pass.blank - 1);
            const auto best = static_cast<double>(above > below || above != above ? above : below);
            if (pass.any_label) at(ctc::kBestLabelRow, k) = best;
            const double blank = at(ctc::kBlankRow, k);
            if (pass.any) at(ctc::kBestRow, k) = blank > best ? blank : best;
        }
        for (std::int64_t s = 0; s < pass.count; ++s)
            at(ctc::kFirstSymbolRow + s, k) = static_cast<double>(row[pass.symbols[s]]);
    }
    Vec<double> most[kParts];
    IntVec<double> good = IntVec<double>{} - 1;
    for (Vec<double>& part : most) part = splat(kNever);
    for (std::int64_t row = 0; row < rows; ++row) {
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) {
            double* const place = table + row * kBlock + part * kLanes;
            const Vec<double> v = load(place);
            good &= v < infinity<double>();
            const Vec<double> bounded = select(v > kNever, maximum(v, splat(ctc::kLeastScore)), v);
            store(place, bounded);
            most[part] = maximum(bounded, most[part]);
        }
    }
    bool is_good = !any(~good);
    for (Vec<double>& part : most) part = select(part > kNever, part, Vec<double>{});
    for (std::int64_t row = 0; row < rows; ++row) {
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) {
            double* const place = table + row * kBlock + part * kLanes;
            store(place, load(place) - most[part]);
        }
    }
    for (int k = 0; k < pass.frames && pass.log_sum != nullptr; ++k) {
        const LogSum<double> sum = row_log_sum(wide(pass.rows + k * pass.row_stride), pass.columns);
        is_good &= sum.sum < std::numeric_limits<double>::infinity();
        pass.log_sum[k] = value<double>(sum);
    }
    return is_good;
}

// The lane below of each lane; the first has that of the vector below.
template <int... I>
[[gnu::always_inline]] inline Vec<double> lane_below(Vec<double> below, Vec<double> v,
                                                     std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(below, v, (I + kLanes - 1)...);
}

// Writes the bits of a group's lanes and returns the place behind them.
[[gnu::always_inline]] inline std::uint8_t* write(const IntVec<double> (&masks)[kVectors], std::uint8_t* to) {
    std::uint32_t word = 0;
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) word |= static_cast<std::uint32_t>(bits(masks[v])) << (v * kLanes);
    std::memcpy(to, &word, kGroup / 8);
    return to + kGroup / 8;
}

template <bool kWritten, bool kOpen>
[[gnu::always_inline]] inline void advance(const LatticePass& pass, std::int64_t group, Vec<double> (&edge)[kBlock],
                                           std::uint8_t* from) {
    constexpr auto lanes = std::make_integer_sequence<int, kLanes>{};
    const std::int64_t begin = group * kGroup;
    Vec<double> emission[kBlock][kVectors], blank[kVectors], label[kVectors], skip[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
        const std::int32_t* const row = pass.row + begin + v * kLanes;
        const double* lines[kLanes];
        for (int lane = 0; lane < kLanes; ++lane) lines[lane] = pass.table + std::int64_t{row[lane]} * kBlock;
#pragma GCC unroll 4
        for (int part = 0; part < kParts; ++part) {
            Vec<double> square[kLanes];
            load_turned(lines, part * kLanes, square);
#pragma GCC unroll 8
            for (int k = 0; k < kLanes; ++k) emission[part * kLanes + k][v] = square[k];
        }
        blank[v] = load(pass.blank + begin + v * kLanes);
        label[v] = load(pass.label + begin + v * kLanes);
        skip[v] = load(pass.skip + begin + v * kLanes);
    }
    [[maybe_unused]] IntVec<double> is_open[kVectors];
    if constexpr (kOpen) {
        std::int64_t flags[kGroup];
        for (int lane = 0; lane < kGroup; ++lane)
            flags[lane] = begin + lane == pass.open_begin || begin + lane == pass.open_end ? -1 : 0;
        for (int v = 0; v < kVectors; ++v) is_open[v] = load_int<double>(flags + v * kLanes);
    }
    const double* const blanks = pass.table + ctc::kBlankRow * kBlock;
    [[maybe_unused]] const double* const best = pass.table + ctc::kBestRow * kBlock;
    for (int k = 0; k < pass.frames; ++k) {
        IntVec<double> left[kVectors], entered[kVectors], skipped[kVectors];
        const Vec<double> silence = splat(blanks[k]);
        Vec<double> below = edge[k];
        edge[k] = label[kVectors - 1];
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
            const Vec<double> before = lane_below(below, label[v], lanes);
            const Vec<double> jump = before + skip[v];
            const Vec<double> own = maximum(blank[v], label[v]);
            if constexpr (kWritten) {
                // Of equal paths the one that stays with a label longest wins.
                left[v] = before >= blank[v];
                entered[v] = blank[v] > label[v];
                skipped[v] = jump > own;
            }
            below = label[v];
            Vec<double> stays = silence;
            if constexpr (kOpen) stays = select(is_open[v], splat(best[k]), silence);
            blank[v] = maximum(blank[v], before) + stays;
            label[v] = maximum(own, jump) + emission[k][v];
        }
        if constexpr (kWritten) from = write(skipped, write(entered, write(left, from)));
    }
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
        store(pass.blank + begin + v * kLanes, blank[v]);
        store(pass.label + begin + v * kLanes, label[v]);
    }
}

template <bool kWritten>
[[gnu::always_inline]] inline void run(const LatticePass& pass) {
    Vec<double> edge[kBlock];
    for (Vec<double>& below : edge) below = splat(kNever);
    std::uint8_t* from = pass.from;
    for (std::int64_t group = pass.first; group < pass.last; ++group) {
        const std::int64_t begin = group * kGroup;
        const auto holds = [&](std::int64_t lane) { return lane >= begin && lane < begin + kGroup; };
        if (holds(pass.open_begin) || holds(pass.open_end)) [[unlikely]]
            advance<kWritten, true>(pass, group, edge, from);
        else advance<kWritten, false>(pass, group, edge, from);
        if constexpr (kWritten) from += kBlock * 3 * (kGroup / 8);
    }
}

void lattice(const LatticePass& pass) {
    pass.from != nullptr ? run<true>(pass) : run<false>(pass);
}

}  // namespace

template <>
const ctc::ViterbiKernels<float>& kernel_table() {
    static constexpr ctc::ViterbiKernels<float> table{Isa::COALIGN_SET, kGroup, emissions<float>, lattice};
    return table;
}
template <>
const ctc::ViterbiKernels<double>& kernel_table() {
    static constexpr ctc::ViterbiKernels<double> table{Isa::COALIGN_SET, kGroup, emissions<double>, lattice};
    return table;
}

}  // namespace coalign::COALIGN_SET
