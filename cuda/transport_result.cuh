// How a problem of transport begins and ends on a GPU: weights and a first epsilon, and at the end potentials as they
// are returned, with what the plan proves of exactly these. See csrc/transport/solver.hpp.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/status.hpp"
#include "transport_problem.cuh"
#include "transport_sweep.cuh"

namespace coalign::cuda {

template <class T>
__device__ const T* vector_of(const TransportVectors& vectors, std::int64_t p) {
    if (vectors.items != nullptr) return static_cast<const T*>(vectors.items[p]);
    return vectors.data != nullptr ? static_cast<const T*>(vectors.data) + p * vectors.stride : nullptr;
}

// The weights of one side, which add up to 1, and the mass that they had; NaN where one is negative or not finite.
template <class T>
__device__ double take_weights(const T* given, std::int64_t count, std::int64_t width, double* out) {
    for (std::int64_t i = count + threadIdx.x; i < width; i += kTransportThreads) out[i] = 0;
    double sum = 0;
    for (std::int64_t i = threadIdx.x; i < count; i += kTransportThreads) {
        const double weight = given == nullptr ? 1 : static_cast<double>(given[i]);
        out[i] = weight;
        sum += weight >= 0 ? weight : kNaN<double>;
    }
    sum = block_sum(sum);
    for (std::int64_t i = threadIdx.x; i < count; i += kTransportThreads) out[i] /= sum;
    return given == nullptr ? 1 : sum;
}

// How far costs lie apart: the median of what 16 x 16 of them are above the least of their row.
template <class Problem>
__device__ double median_spread(const Problem& of) {
    constexpr int kSide = 16;
    static_assert(kSide * kSide == kTransportThreads);
    double* const spreads = shared_memory<double>() + kTransportThreads;
    const auto me = static_cast<int>(threadIdx.x);
    const std::int64_t rows = of.rows < kSide ? of.rows : kSide, columns = of.columns < kSide ? of.columns : kSide;
    const std::int64_t i = me / kSide, j = me % kSide;
    double mine = kInfinity<double>;
    if (i < rows && j < columns) {
        const double cost = of.cost_at(i * of.rows / rows, j * of.columns / columns);
        if (fabs(cost) < kInfinity<double>) mine = cost;
    }
    double least = mine;
#pragma unroll
    for (int lanes = kSide / 2; lanes > 0; lanes /= 2) least = lesser(least, __shfl_xor_sync(kWholeWarp, least, lanes));
    const bool counts = mine < kInfinity<double>;
    __syncthreads();
    spreads[me] = counts ? mine - least : kInfinity<double>;
    __syncthreads();
    int before = 0, all = 0;
    for (int k = 0; k < static_cast<int>(kTransportThreads); ++k) {
        const double other = spreads[k];
        all += other < kInfinity<double> ? 1 : 0;
        before += other < spreads[me] || (other == spreads[me] && k < me) ? 1 : 0;
    }
    return block_most(counts && before == all / 2 ? spreads[me] : 0);
}

// How far the masses of balanced weights may be apart, as a share of them.
template <class T>
constexpr double kMostApart = sizeof(T) == sizeof(float) ? 1e-4 : 1e-6;

inline constexpr double kFirstEpsilon = 0.5, kNextEpsilon = 0.25, kStepTolerance = 0.02;
inline constexpr std::int64_t kStepIterations = 60;
// Of the tolerance: an iteration's error is not that of the potentials that are returned, which are rounded.
inline constexpr double kAim = 0.5;

// Called by all threads of a block: what iterations start from.
template <class Problem>
__device__ void prepare_problem(const TransportCall& call, const Problem& of, std::int64_t p) {
    using T = typename Problem::Value;
    TransportState& state = *of.state;
    const bool is_shaped = of.rows > 0;
    double row_mass = 1, column_mass = 1, spread = 0;
    if (is_shaped) {
        row_mass = take_weights(vector_of<T>(call.row_weights, p), of.rows, of.rows, of.row_weight);
        column_mass = take_weights(vector_of<T>(call.column_weights, p), of.columns, of.width, of.column_weight);
        spread = median_spread(of);
    }
    const double epsilon = call.epsilons != nullptr ? call.epsilons[p] : call.epsilon;
    const bool are_masses =
        row_mass > 0 && row_mass < kInfinity<double> && column_mass > 0 && column_mass < kInfinity<double> &&
        (!is_balanced(call) || fabs(row_mass - column_mass) <= kMostApart<T> * greater(row_mass, column_mass));
    const bool is_valid = is_shaped && are_masses && epsilon > 0 && epsilon < kInfinity<double>;
    const T* const given = vector_of<T>(call.column_potentials, p);
    if (is_valid) {
        const double unit = is_balanced(call) ? 0 : log(column_mass);
        for (std::int64_t j = threadIdx.x; j < of.width; j += kTransportThreads) {
            const double weight = of.column_weight[j];
            double potential = weight > 0 ? 0 : -kInfinity<double>;
            if (weight > 0 && given != nullptr && fabs(static_cast<double>(given[j])) < kInfinity<double>)
                potential = static_cast<double>(given[j]) - epsilon * (log(weight) + unit);
            of.potential(0)[j] = potential;
        }
    }
    if (threadIdx.x != 0) return;
    const bool is_lowered = call.tolerance > 0 && given == nullptr && kFirstEpsilon * spread > epsilon;
    state = TransportState{};
    state.sweep = is_valid ? Sweep::careful : Sweep::failed;
    state.status = static_cast<int>(is_valid ? Status::ok : Status::invalid);
    state.epsilon = is_lowered ? kFirstEpsilon * spread : epsilon;
    state.target = epsilon;
    state.row_mass = row_mass;
    state.column_mass = column_mass;
    state.careful_left = 1;
    state.careful_next = 1;
    state.best = state.last = state.error = kInfinity<double>;
    state.inertia = 1;
}

// Says how the next iteration goes, by one thread: `error` is what the last one found its columns to be off. Below
// `rounding`, what quick iterations find is of their own making; only kRounds asks for that.
template <class T, bool kRounds = false>
__device__ void judge(const TransportCall& call, TransportState& state, double error, double rounding = 0) {
    // Errors below may be rounding, and are given so many iterations to halve.
    constexpr std::int64_t kPatience = 50;
    const bool is_wrong = atomicExch(&state.is_wrong, 0) != 0, is_empty = atomicExch(&state.is_empty, 0) != 0;
    const bool is_lost = atomicExch(&state.is_lost, 0) != 0, has_drifted = atomicExch(&state.has_drifted, 0) != 0;
    if (is_wrong || is_empty) {
        state.sweep = Sweep::failed;
        state.status = static_cast<int>(is_wrong ? Status::nan : Status::infeasible);
        return;
    }
    if (is_lost) {
        // The same iteration again.
        state.sweep = Sweep::careful;
        state.careful_left = state.careful_next;
        state.careful_next *= 2;
        state.inertia = 1;
        state.momentum = 0;
        return;
    }
    if (!is_balanced(call)) error *= state.column_mass / ((state.row_mass + state.column_mass) / 2);
    ++state.iterations;
    state.error = error;
    const bool is_last = state.iterations >= call.most_iterations, is_plain = call.tolerance == 0;
    const bool is_lowered = state.epsilon > state.target;
    bool is_rounding = false;
    if constexpr (kRounds)
        is_rounding =
            !is_plain && !is_lowered && error < rounding && state.sweep == Sweep::quick && !state.keeps_careful;
    if (is_rounding) {
        state.since_best = 0;
        state.keeps_careful = is_rounding;
    } else if (!is_plain && !is_lowered && error <= kAim * call.tolerance) {
        state.is_reached = true;
        state.sweep = Sweep::done;
        return;
    }
    if (is_last) {
        state.sweep = Sweep::done;
        return;
    }
    state.at = 1 - state.at;
    state.sweep = Sweep::quick;
    if (--state.careful_left > 0 || has_drifted || state.keeps_careful) state.sweep = Sweep::careful;
    if (is_plain) return;
    if (is_lowered && (error <= kStepTolerance || ++state.step_iterations >= kStepIterations ||
                       state.iterations + 1 >= call.most_iterations)) {
        state.epsilon = greater(kNextEpsilon * state.epsilon, state.target);
        state.step_iterations = state.since_best = 0;
        state.best = state.last = kInfinity<double>;
        state.inertia = 1;
        state.momentum = 0;
        state.sweep = Sweep::careful;
        return;
    }
    // Nesterov's sequence, from its start wherever the error rises.
    const double next = (1 + sqrt(1 + 4 * state.inertia * state.inertia)) / 2;
    const bool rises = !(error <= state.last);
    state.momentum = rises ? 0 : (state.inertia - 1) / next;
    state.inertia = rises ? 1 : next;
    state.last = error;
    ++state.since_best;
    if (error < state.best / 2) {
        state.best = error;
        state.since_best = 0;
    }
    const double noise = sizeof(T) == sizeof(float) && !state.keeps_careful ? 2e-5 : 1e-10;
    if (is_lowered || state.since_best <= kPatience || !(state.best < noise)) return;
    if (sizeof(T) == sizeof(float) && !state.keeps_careful) {
        state.keeps_careful = true;
        state.since_best = 0;
        state.sweep = Sweep::careful;
    } else {
        state.is_reached = true;
        state.sweep = Sweep::done;
        state.at = 1 - state.at;
    }
}

// Potentials of the rows of a chunk at the potentials that the columns have in the end.
template <class T>
__device__ void find_row_potentials(const TransportCall& call, const TransportProblem<T>& of, std::int64_t chunk) {
    bool is_right = true;
    for (std::int64_t i = of.begin(chunk) + threadIdx.x / kWarp; i < of.end(chunk); i += kTransportWarps) {
        const double potential = row_potential(call, of, i, is_right);
        if (threadIdx.x % kWarp == 0) of.row_potential()[i] = of.row_weight[i] > 0 ? potential : -kInfinity<double>;
    }
}

template <class T>
struct TransportOutput {
    T *f, *g;
    std::int64_t rows, columns;  // that are to be written

    __device__ TransportOutput(const TransportCall& call, const TransportProblem<T>& of, std::int64_t p)
        : f(static_cast<T*>(call.f) + (call.row_at != nullptr ? call.row_at[p] : p * call.rows)),
          g(static_cast<T*>(call.g) + (call.column_at != nullptr ? call.column_at[p] : p * call.columns)),
          rows(call.row_at != nullptr ? of.rows : call.rows),
          columns(call.column_at != nullptr ? of.columns : call.columns) {}
};

// By all threads of a block: potentials with the weights and the unit, rounded as they are returned.
template <class T>
__device__ void write_potentials(const TransportCall& call, const TransportProblem<T>& of, std::int64_t p) {
    const TransportState& state = *of.state;
    const TransportOutput<T> out(call, of, p);
    const bool has_failed = state.sweep == Sweep::failed;
    const bool is_shaped = of.rows > 0;
    const std::int64_t rows = is_shaped ? of.rows : out.rows, columns = is_shaped ? of.columns : out.columns;
    const double epsilon = state.target;
    double row_unit = 0, column_unit = 0;
    if (!has_failed) {
        const double* const H = of.columns_now();
        double shift = 0;
        if (is_balanced(call)) {
            for (std::int64_t j = threadIdx.x; j < of.columns; j += kTransportThreads)
                if (H[j] > -kInfinity<double>)
                    shift += of.column_weight[j] * (H[j] + epsilon * log(of.column_weight[j]));
        }
        shift = block_sum(shift);
        row_unit = epsilon * log(state.row_mass) + shift;
        column_unit = is_balanced(call) ? -shift : epsilon * log(state.column_mass);
    }
    for (std::int64_t i = threadIdx.x; i < out.rows; i += kTransportThreads) {
        T f = i < rows ? kNaN<T> : T(0);
        if (!has_failed && i < rows) {
            const double F = of.row_potential()[i];
            f = F > -kInfinity<double> ? static_cast<T>(epsilon * (F + log(of.row_weight[i])) + row_unit)
                                       : -kInfinity<T>;
        }
        out.f[i] = f;
    }
    for (std::int64_t j = threadIdx.x; j < out.columns; j += kTransportThreads) {
        T g = j < columns ? kNaN<T> : T(0);
        if (!has_failed && j < columns) {
            const double H = of.columns_now()[j];
            g = H > -kInfinity<double> ? static_cast<T>(H + epsilon * log(of.column_weight[j]) + column_unit)
                                       : -kInfinity<T>;
        }
        out.g[j] = g;
    }
}

// The sums of the plan at the potentials that are returned: of rows, a warp each, and of the columns of a chunk.
template <class T>
__device__ void sum_plan(const TransportCall& call, const TransportProblem<T>& of, std::int64_t p, std::int64_t chunk) {
    const TransportOutput<T> out(call, of, p);
    const double over = 1 / of.state->target;
    const auto plan_at = [&](std::int64_t i, std::int64_t j, double cost) {
        // The difference first: where f and C are large and alike, it is exact. Without weight f or g is -inf.
        return exp((static_cast<double>(out.f[i]) - cost + static_cast<double>(out.g[j])) * over);
    };
    for (std::int64_t i = of.begin(chunk) + threadIdx.x / kWarp; i < of.end(chunk); i += kTransportWarps) {
        double sum = 0, costs = 0;
        for (std::int64_t j = threadIdx.x % kWarp; j < of.columns; j += kWarp) {
            const double cost = of.cost_at(i, j), plan = plan_at(i, j, cost);
            sum += plan;
            // An infinite cost, times a plan of 0, is NaN.
            if (plan > 0) costs = fma(plan, cost, costs);
        }
        sum = warp_sum(sum);
        costs = warp_sum(costs);
        if (threadIdx.x % kWarp == 0) {
            of.row_sum()[i] = sum;
            of.row_cost()[i] = costs;
        }
    }
    double* const parts = static_cast<double*>(of.partial) + chunk * of.width;
    for (std::int64_t j = threadIdx.x; j < of.columns; j += kTransportThreads) {
        double sum = 0;
        for (std::int64_t i = of.begin(chunk); i < of.end(chunk); ++i) sum += plan_at(i, j, of.cost_at(i, j));
        parts[j] = sum;
    }
}

// What the sums of one side add to the error, the value and the penalty; of this thread.
struct Weighed {
    double error = 0, value = 0, penalty = 0, mass = 0, most = 0;

    __device__ void add(double own, double sum, double potential, double epsilon, double rho) {
        mass += sum;
        if (!(own > 0)) return;
        const bool is_bought = rho < kInfinity<double>;
        if (!(potential > -kInfinity<double>)) {
            // No plan reaches it: its whole weight is missed.
            if (is_bought) penalty += rho * own;
            return;
        }
        most = greater(most, fabs(potential));
        const double dual = potential - epsilon * log(own);
        error += fabs(sum - (is_bought ? own * exp(-dual / rho) : own));
        value += sum * dual;
        if (is_bought) penalty += rho * ((sum > 0 ? sum * log(sum / own) : 0) - sum + own);
    }
};

// By all threads of a block: what the plan's sums say.
template <class T>
__device__ void weigh_plan(const TransportCall& call, const TransportProblem<T>& of, std::int64_t p) {
    const TransportState& state = *of.state;
    if (state.sweep == Sweep::failed) {
        if (threadIdx.x != 0) return;
        call.cost[p] = call.value[p] = call.error[p] = kNaN<double>;
        call.iterations[p] = state.iterations;
        call.status[p] = state.status;
        return;
    }
    const TransportOutput<T> out(call, of, p);
    const double epsilon = state.target, A = state.row_mass, B = state.column_mass;
    Weighed weighed;
    double cost = 0;
    for (std::int64_t i = threadIdx.x; i < of.rows; i += kTransportThreads) {
        weighed.add(of.row_weight[i] * A, of.row_sum()[i], static_cast<double>(out.f[i]), epsilon, call.row_penalty);
        cost += of.row_cost()[i];
    }
    double mass = block_sum(weighed.mass);
    for (std::int64_t j = threadIdx.x; j < of.columns; j += kTransportThreads) {
        double sum = 0;
        for (std::int64_t c = 0; c < of.chunks; ++c) sum += static_cast<double*>(of.partial)[c * of.width + j];
        weighed.add(of.column_weight[j] * B, sum, static_cast<double>(out.g[j]), epsilon, call.column_penalty);
    }
    cost = block_sum(cost);
    double error = block_sum(weighed.error) / ((A + B) / 2);
    double value = block_sum(weighed.value) - epsilon * mass + epsilon * A * B;
    value += block_sum(weighed.penalty);
    const double rounding = block_most(weighed.most) * static_cast<double>(kEpsilon<T>) / epsilon;
    if (threadIdx.x != 0) return;
    const bool is_finite =
        fabs(cost) < kInfinity<double> && fabs(value) < kInfinity<double> && error < kInfinity<double>;
    Status status = Status::ok;
    if (!is_finite) {
        status = Status::precision_limit;
        if (cost != cost) cost = kInfinity<double>;
        if (value != value) value = kInfinity<double>;
        if (error != error) error = kInfinity<double>;
    } else if (call.tolerance > 0 && error > call.tolerance) {
        const bool is_rounding = state.is_reached || (rounding > call.tolerance && error < 10 * rounding);
        status = is_rounding ? Status::precision_limit : Status::not_converged;
    }
    call.cost[p] = cost;
    call.value[p] = value;
    call.error[p] = error;
    call.iterations[p] = state.iterations;
    call.status[p] = static_cast<std::int32_t>(status);
}

}  // namespace coalign::cuda
