// One iteration of transport: from the column potentials the rows', exactly, and from those the columns' again.
//
// Quick: a block reads its rows of the kernel matrix once, in registers, sums each, scales it, and adds it to the
// columns' sums: 4 bytes a cell in float32. Careful: log-sum-exp of rows and of columns, in float64 on the costs.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "transport_problem.cuh"

namespace coalign::cuda {

template <class T>
__device__ inline T exponential_of(double x) {
    if constexpr (sizeof(T) == sizeof(float)) return expf(static_cast<float>(x));
    else return exp(x);
}

// Sums below this miss what the dtype has flushed to 0, and potentials may move by so much from those that the matrix
// holds: see csrc/transport/scaling.hpp.
template <class T>
constexpr double kLeastSum = sizeof(T) == sizeof(float) ? 1e-30 : 1e-280;
template <class T>
constexpr double kMostDrift = sizeof(T) == sizeof(float) ? 20 : 200;

// What one load moves: 16 bytes.
template <class T>
struct alignas(16) Pack {
    static constexpr int kSize = 16 / sizeof(T);
    T value[kSize];
};

// The potential of a row, by a warp; -inf for a row that nothing reaches.
template <class T>
__device__ double row_potential(const TransportCall& call, const TransportProblem<T>& of, std::int64_t i,
                                bool& is_right) {
    const double* const H = of.columns_now();
    const double over = 1 / of.state->epsilon;
    double most = -kInfinity<double>, sum = 0;
    for (std::int64_t j = threadIdx.x % kWarp; j < of.columns; j += kWarp) {
        const double cost = of.cost_at(i, j);
        is_right = is_right && cost > -kInfinity<double>;
        // Of a number and NaN the greater one is the number.
        most = greater((H[j] - cost) * over, most);
    }
    most = -warp_minimum(-most);
    if (!(most > -kInfinity<double>)) return -kInfinity<double>;
    for (std::int64_t j = threadIdx.x % kWarp; j < of.columns; j += kWarp) {
        const double exponent = (H[j] - of.cost_at(i, j)) * over;
        if (exponent > -kInfinity<double>) sum += of.column_weight[j] * exp(exponent - most);
    }
    sum = warp_sum(sum);
    const double unit = is_balanced(call) ? 0 : log(of.state->column_mass);
    return -power_of(call.row_penalty, of.state->epsilon) * (unit + most + log(sum));
}

// The rows of a chunk, a warp each: potentials, and the kernel matrix that holds them.
template <class T>
__device__ void absorb_rows(const TransportCall& call, const TransportProblem<T>& of, std::int64_t chunk) {
    const double* const H = of.columns_now();
    TransportState& state = *of.state;
    const double over = 1 / state.epsilon, power = power_of(call.row_penalty, state.epsilon);
    const double unit = is_balanced(call) ? 0 : log(state.column_mass);
    bool is_right = true;
    for (std::int64_t i = of.begin(chunk) + threadIdx.x / kWarp; i < of.end(chunk); i += kTransportWarps) {
        double potential = row_potential(call, of, i, is_right);
        const double weight = of.row_weight[i];
        if (weight > 0 && !(potential > -kInfinity<double>) && !(call.row_penalty < kInfinity<double>))
            atomicExch(&state.is_empty, 1);
        if (!(weight > 0)) potential = -kInfinity<double>;
        T* const kernel = of.kernel + i * of.width;
        for (std::int64_t j = threadIdx.x % kWarp; j < of.width; j += kWarp) {
            const bool counts = j < of.columns && potential > -kInfinity<double> && H[j] > -kInfinity<double>;
            kernel[j] = counts ? exponential_of<T>(potential + (H[j] - of.cost_at(i, j)) * over) : T(0);
        }
        if (threadIdx.x % kWarp != 0) continue;
        of.row_potential()[i] = potential;
        // With the sum r of the row for which this potential is made, that of another one is less by power * log r.
        of.row_scale[i] = potential > -kInfinity<double>
                              ? static_cast<T>(weight * exp((power - 1) * potential - power * unit))
                              : T(0);
    }
    if (!is_right) atomicExch(&state.is_wrong, 1);
}

// The columns' sums over the rows of a chunk whose potentials are known.
template <class T>
__device__ void sum_columns_carefully(const TransportProblem<T>& of, std::int64_t chunk) {
    const std::int64_t warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
    const std::int64_t first = of.is_narrow ? lane : threadIdx.x, step = of.is_narrow ? kWarp : kTransportThreads;
    const std::int64_t row_step = of.is_narrow ? kTransportWarps : 1;
    const std::int64_t part = of.is_narrow ? chunk * kTransportWarps + warp : chunk;
    LogSum* const out = static_cast<LogSum*>(of.partial) + part * of.width;
    const double over = 1 / of.state->epsilon;
    for (std::int64_t j = first; j < of.columns; j += step) {
        LogSum sum{-kInfinity<double>, 0};
        for (std::int64_t i = of.begin(chunk) + (of.is_narrow ? warp : 0); i < of.end(chunk); i += row_step)
            sum.add(of.row_potential()[i] - of.cost_at(i, j) * over, of.row_weight[i]);
        out[j] = sum;
    }
}

// The sum of a row over its team: a warp, or all warps of a block by one barrier a row.
template <bool kBlock>
class RowTeam {
   public:
    static constexpr int kSize = static_cast<int>(kBlock ? kTransportThreads : kWarp);

    __device__ int rank() const { return static_cast<int>(kBlock ? threadIdx.x : threadIdx.x % kWarp); }
    template <class T>
    __device__ T sum(T mine) {
#pragma unroll
        for (int lanes = 16; lanes > 0; lanes /= 2) mine += __shfl_xor_sync(kWholeWarp, mine, lanes);
        if constexpr (kBlock) {
            // Two sets of slots by turns: one is read while the other is written.
            T* const slots = shared_memory<T>() + turn_ * kTransportWarps;
            turn_ ^= 1;
            if (threadIdx.x % kWarp == 0) slots[threadIdx.x / kWarp] = mine;
            __syncthreads();
            mine = slots[0];
#pragma unroll
            for (int warp = 1; warp < kTransportWarps; ++warp) mine += slots[warp];
        }
        return mine;
    }

   private:
    int turn_ = 0;
};

// The scaling of a row by its sum.
template <class T>
__device__ T row_scaling(T scale, T sum, double power, bool& holds) {
    if (!(scale > 0)) return 0;
    holds = holds && static_cast<double>(sum) > kLeastSum<T> && sum < kInfinity<T>;
    return power == 1 ? scale / sum
                      : static_cast<T>(static_cast<double>(scale) * exp(-power * log(static_cast<double>(sum))));
}

// A chunk whose rows fit into the registers of a team.
template <class T, bool kBlock, int kPacks>
__device__ bool sweep_rows(const TransportProblem<T>& of, std::int64_t chunk, double power) {
    using Chunk = Pack<T>;
    constexpr int kSize = Chunk::kSize, kStep = RowTeam<kBlock>::kSize;
    RowTeam<kBlock> team;
    const std::int64_t warp = threadIdx.x / kWarp, packs = of.width / kSize;
    const auto* const scaling = reinterpret_cast<const Chunk*>(of.scaling);
    T sums[kPacks][kSize] = {};
    bool holds = true;
    for (std::int64_t i = of.begin(chunk) + (kBlock ? 0 : warp); i < of.end(chunk); i += kBlock ? 1 : kTransportWarps) {
        const auto* const row = reinterpret_cast<const Chunk*>(of.kernel + i * of.width);
        Chunk cells[kPacks];
        T sum = 0;
#pragma unroll
        for (int k = 0; k < kPacks; ++k) {
            const std::int64_t at = k * kStep + team.rank();
            cells[k] = at < packs ? row[at] : Chunk{};
        }
#pragma unroll
        for (int k = 0; k < kPacks; ++k) {
            const std::int64_t at = k * kStep + team.rank();
            if (at >= packs) continue;
            const Chunk v = scaling[at];
#pragma unroll
            for (int c = 0; c < kSize; ++c) sum = fused(cells[k].value[c], v.value[c], sum);
        }
        const T factor = row_scaling(of.row_scale[i], team.sum(sum), power, holds);
#pragma unroll
        for (int k = 0; k < kPacks; ++k)
#pragma unroll
            for (int c = 0; c < kSize; ++c) sums[k][c] = fused(cells[k].value[c], factor, sums[k][c]);
    }
    T* const out = static_cast<T*>(of.partial) + (kBlock ? chunk : chunk * kTransportWarps + warp) * of.width;
#pragma unroll
    for (int k = 0; k < kPacks; ++k) {
        const std::int64_t at = k * kStep + team.rank();
        if (at >= packs) continue;
        Chunk result;
#pragma unroll
        for (int c = 0; c < kSize; ++c) result.value[c] = sums[k][c];
        reinterpret_cast<Chunk*>(out)[at] = result;
    }
    return holds;
}

// A chunk of wider rows: some are summed, and then read again, from the second-level cache.
template <class T>
__device__ bool sweep_wide_rows(const TransportProblem<T>& of, std::int64_t chunk, double power) {
    constexpr int kRows = 4;
    RowTeam<true> team;
    T* const out = static_cast<T*>(of.partial) + chunk * of.width;
    for (std::int64_t j = threadIdx.x; j < of.width; j += kTransportThreads) out[j] = 0;
    bool holds = true;
    for (std::int64_t i = of.begin(chunk); i < of.end(chunk); i += kRows) {
        T factors[kRows];
#pragma unroll
        for (int r = 0; r < kRows; ++r) {
            const bool exists = i + r < of.end(chunk);
            T sum = 0;
            for (std::int64_t j = threadIdx.x; exists && j < of.width; j += kTransportThreads)
                sum = fused(of.kernel[(i + r) * of.width + j], of.scaling[j], sum);
            sum = team.sum(sum);
            factors[r] = exists ? row_scaling(of.row_scale[i + r], sum, power, holds) : T(0);
        }
        for (std::int64_t j = threadIdx.x; j < of.width; j += kTransportThreads) {
            T sum = out[j];
#pragma unroll
            for (int r = 0; r < kRows; ++r)
                if (i + r < of.end(chunk)) sum = fused(of.kernel[(i + r) * of.width + j], factors[r], sum);
            out[j] = sum;
        }
    }
    return holds;
}

// Packs of a lane of a warp, or of a thread of a block, at most; wider rows do not fit into registers. The kernel that
// solves a problem alone has more to keep there.
inline constexpr int kMostPacks = 8, kMostPacksAlone = 2;

template <class T>
__host__ __device__ constexpr bool is_narrow(std::int64_t width, int most_packs) {
    return width <= most_packs * static_cast<std::int64_t>(kWarp) * Pack<T>::kSize;
}

template <class T, bool kBlock, int kPacks, int kMost>
__device__ bool sweep_by_packs(const TransportProblem<T>& of, std::int64_t chunk, double power) {
    if constexpr (kPacks > kMost) {
        return sweep_wide_rows(of, chunk, power);
    } else {
        if (of.width <= static_cast<std::int64_t>(kPacks) * RowTeam<kBlock>::kSize * Pack<T>::kSize)
            return sweep_rows<T, kBlock, kPacks>(of, chunk, power);
        return sweep_by_packs<T, kBlock, 2 * kPacks, kMost>(of, chunk, power);
    }
}

template <class T, int kMost>
__device__ void sweep_quickly(const TransportCall& call, const TransportProblem<T>& of, std::int64_t chunk) {
    const double power = power_of(call.row_penalty, of.state->epsilon);
    const bool holds = of.is_narrow ? sweep_by_packs<T, false, 1, kMost>(of, chunk, power)
                                    : sweep_by_packs<T, true, 2, kMost>(of, chunk, power);
    if (!holds) atomicExch(&of.state->is_lost, 1);
}

// One chunk of an iteration's rows.
template <class T, int kMost>
__device__ void sweep_chunk(const TransportCall& call, const TransportProblem<T>& of, std::int64_t chunk, Sweep sweep) {
    if (sweep == Sweep::quick) {
        sweep_quickly<T, kMost>(call, of, chunk);
    } else {
        absorb_rows(call, of, chunk);
        __syncthreads();
        sum_columns_carefully(of, chunk);
    }
}

// A column whose sum is known: its potential, what it has to be scaled by next, and by how much its sum is off.
template <class T>
__device__ double update_column(const TransportCall& call, const TransportProblem<T>& of, std::int64_t j,
                                const LogSum& sum, Sweep sweep) {
    TransportState& state = *of.state;
    const double *const now = of.potential(state.at), weight = of.column_weight[j], H = now[j];
    double& next = of.potential(1 - state.at)[j];
    if (!(H > -kInfinity<double>)) {
        next = -kInfinity<double>;
        of.scaling[j] = 0;
        return 0;
    }
    const double epsilon = state.epsilon, over = 1 / epsilon, power = power_of(call.column_penalty, epsilon);
    const double unit = is_balanced(call) ? 0 : log(state.row_mass);
    if (sweep == Sweep::careful) {
        of.absorbed()[j] = H;
        if (!(sum.most > -kInfinity<double>)) {
            // No plan reaches it: balanced, there is none; else its price is paid.
            if (power == 1) atomicExch(&state.is_empty, 1);
            next = -kInfinity<double>;
            of.scaling[j] = 0;
            return 0;
        }
    } else if (!(sum.sum > kLeastSum<T> && sum.sum < static_cast<double>(kLargest<T>))) {
        atomicExch(&state.is_lost, 1);
        return 0;
    }
    const double absorbed = of.absorbed()[j];
    const double log_sum = log(sum.sum) + (sweep == Sweep::careful ? sum.most : -absorbed * over);
    const double image = -power * epsilon * (unit + log_sum);
    next = image + state.momentum * (image - of.image()[j]);
    // The first momentum is 0, and the image before it is not set.
    if (state.momentum == 0) next = image;
    of.image()[j] = image;
    const double drift = (next - absorbed) * over;
    if (!(fabs(drift) <= kMostDrift<T>)) atomicExch(&state.has_drifted, 1);
    of.scaling[j] = static_cast<T>(weight * exp(drift));
    const double above = expm1((H - image) * over / power);
    return weight * exp(-H * over * (1 - power) / power) * fabs(above);
}

// The sum of a column over all parts, by one thread.
template <class T>
__device__ LogSum sum_parts(const TransportProblem<T>& of, std::int64_t j, std::int64_t first, std::int64_t step,
                            Sweep sweep) {
    LogSum sum{-kInfinity<double>, 0};
    if (sweep == Sweep::quick) {
        for (std::int64_t part = first; part < of.parts; part += step)
            sum.sum += static_cast<double>(static_cast<const T*>(of.partial)[part * of.width + j]);
    } else {
        for (std::int64_t part = first; part < of.parts; part += step)
            sum.add(static_cast<const LogSum*>(of.partial)[part * of.width + j]);
    }
    return sum;
}

// All columns, by a block that has all rows.
template <class T>
__device__ void update_columns(const TransportCall& call, const TransportProblem<T>& of, Sweep sweep) {
    double error = 0;
    for (std::int64_t j = threadIdx.x; j < of.width; j += kTransportThreads) {
        if (j < of.columns) error += update_column(call, of, j, sum_parts(of, j, 0, 1, sweep), sweep);
        else of.scaling[j] = 0;
    }
    error = block_sum(error);
    if (threadIdx.x == 0) of.error()[0] = error;
}

// 32 columns, of which each warp adds up some of the parts.
template <class T>
__device__ void update_tile(const TransportCall& call, const TransportProblem<T>& of, std::int64_t tile, Sweep sweep) {
    auto* const sums = shared_memory<LogSum>();
    const std::int64_t j = tile * kWarp + threadIdx.x % kWarp;
    if (j < of.columns) sums[threadIdx.x] = sum_parts(of, j, threadIdx.x / kWarp, kTransportWarps, sweep);
    __syncthreads();
    if (threadIdx.x >= kWarp) return;
    double error = 0;
    if (j < of.columns) {
        LogSum sum = sums[threadIdx.x];
        for (int warp = 1; warp < kTransportWarps; ++warp) {
            const LogSum& more = sums[static_cast<unsigned>(warp) * kWarp + threadIdx.x];
            if (sweep == Sweep::quick) sum.sum += more.sum;
            else sum.add(more);
        }
        error = update_column(call, of, j, sum, sweep);
    } else if (j < of.width) {
        of.scaling[j] = 0;
    }
    error = warp_sum(error);
    if (threadIdx.x == 0) of.error()[tile] = error;
}

}  // namespace coalign::cuda
