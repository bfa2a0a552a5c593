// Problems that the quick way cannot prove: in logarithms and float64
// throughout, a block for each. See csrc/ctc/careful.hpp.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "ctc_problem.cuh"
#include "ctc_small_loss.cuh"

namespace coalign::cuda {

template <class T>
class Careful {
   public:
    // Its room is that of the problem's cells, which nothing else needs any more.
    __device__ Careful(const Call<T>& call, std::int64_t p)
        : call_(call),
          p_(p),
          of_(problem_at(call, p)),
          states_(2 * of_.labels + 1),
          keeps_(of_.verdict->way == Way::careful && call.wants_gradient),
          alpha_(reinterpret_cast<double*>(of_.emission)),
          beta_(alpha_ + of_.frames * states_),
          normaliser_(beta_ + 2 * states_) {}

    __device__ void solve() {
        const std::int64_t frames = of_.frames;
        for (std::int64_t t = 0; t < frames; ++t) {
            const double norm = log_normaliser(t);
            if (keeps_ && team_.rank() == 0) normaliser_[t] = norm;
            step_forward(t, norm);
            __syncthreads();
        }
        const double* const last = row(frames - 1);
        const double total = states_ > 1 ? log_add(last[states_ - 1], last[states_ - 2]) : last[0];
        const bool possible = total > kNone;
        if (team_.rank() == 0) put_loss(call_, p_, -total, possible ? Status::ok : Status::infeasible);
        __syncthreads();
        for (std::int64_t t = frames - 1; t >= 0 && keeps_; --t) {
            step_back(t, total);
            write(t, possible);
            __syncthreads();
        }
    }

   private:
    static constexpr double kNone = -kInfinity<double>;

    static __device__ double log_add(double a, double b) {
        const double high = a < b ? b : a, low = a < b ? a : b;
        return low > kNone ? high + log1p(exp(low - high)) : high;
    }

    __device__ double* row(std::int64_t t) const { return alpha_ + (keeps_ ? t : t % 2) * states_; }
    __device__ std::int64_t symbol(std::int64_t s) const { return s % 2 != 0 ? of_.label[s / 2] : of_.blank; }
    __device__ bool skips(std::int64_t s) const { return s % 2 != 0 && of_.skips(s / 2); }
    __device__ double score(std::int64_t t, std::int64_t c, double norm) const {
        const auto x = static_cast<double>(of_.score(t, c));
        return x > kNone ? x - norm : kNone;
    }

    __device__ double log_normaliser(std::int64_t t) const {
        if (!call_.is_logits) return 0;
        double most = kNone, sum = 0;
        for (std::int64_t c = team_.rank(); c < of_.columns; c += team_.size())
            most = greater(most, static_cast<double>(of_.score(t, c)));
        most = team_.most(most);
        if (most == kNone) return 0;
        for (std::int64_t c = team_.rank(); c < of_.columns; c += team_.size())
            sum += exp(static_cast<double>(of_.score(t, c)) - most);
        return most + log(team_.sum(sum));
    }

    __device__ void step_forward(std::int64_t t, double norm) const {
        const double* const before = t > 0 ? row(t - 1) : nullptr;
        double* const now = row(t);
        for (std::int64_t s = team_.rank(); s < states_; s += team_.size()) {
            double sum = s < 2 ? 0 : kNone;
            if (before != nullptr) {
                sum = s > 0 ? log_add(before[s], before[s - 1]) : before[s];
                if (skips(s)) sum = log_add(sum, before[s - 2]);
            }
            now[s] = sum + score(t, symbol(s), norm);
        }
    }

    // Turns the row of alpha into occupancies.
    __device__ void step_back(std::int64_t t, double total) const {
        const double* const after = beta_ + (t + 1) % 2 * states_;
        double *const now = beta_ + t % 2 * states_, *const alpha = row(t);
        const bool is_last = t == of_.frames - 1;
        const double norm = is_last ? 0 : normaliser_[t + 1];
        const auto through = [&](std::int64_t s) { return after[s] + score(t + 1, symbol(s), norm); };
        for (std::int64_t s = team_.rank(); s < states_; s += team_.size()) {
            double sum = s >= states_ - 2 ? 0 : kNone;
            if (!is_last) {
                sum = through(s);
                if (s + 1 < states_) sum = log_add(sum, through(s + 1));
                if (s + 2 < states_ && skips(s + 2)) sum = log_add(sum, through(s + 2));
            }
            now[s] = sum;
            alpha[s] = total > kNone ? exp(alpha[s] + sum - total) : 0;
        }
        const double own = normaliser_[t];
        T* const gradient = of_.gradient_row(t);
        for (std::int64_t c = team_.rank(); c < of_.columns; c += team_.size())
            gradient[c] =
                total > kNone && call_.has_softmax ? of_.weight * static_cast<T>(exp(score(t, c, own))) : T(0);
        __syncthreads();
    }

    __device__ void write(std::int64_t t, bool possible) const {
        if (!possible) return;
        const double* const occupied = row(t);
        T* const gradient = of_.gradient_row(t);
        double blank = 0;
        for (std::int64_t i = team_.rank(); i <= of_.labels; i += team_.size()) blank += occupied[2 * i];
        blank = team_.sum(blank);
        if (team_.rank() == 0) gradient[of_.blank] -= of_.weight * static_cast<T>(blank);
        for (std::int64_t k = team_.rank(); k < of_.labels; k += team_.size()) {
            const int symbol_here = of_.sorted[k].symbol;
            if (k > 0 && of_.sorted[k - 1].symbol == symbol_here) continue;
            double sum = 0;
            for (std::int64_t j = k; j < of_.labels && of_.sorted[j].symbol == symbol_here; ++j)
                sum += occupied[2 * of_.sorted[j].position + 1];
            gradient[symbol_here] -= of_.weight * static_cast<T>(sum);
        }
    }

    const Call<T>& call_;
    std::int64_t p_;
    Problem<T> of_;
    std::int64_t states_;
    bool keeps_;
    double *alpha_, *beta_, *normaliser_;
    FrameTeam<true> team_;
};

template <class T>
__global__ void __launch_bounds__(kSmallLossThreads, 1) solve_carefully(const Call<T> call) {
    for (std::int64_t p = call.first + blockIdx.x; p < call.last; p += gridDim.x) {
        const Way way = call.verdicts[p - call.first].way;
        if constexpr (sizeof(T) < sizeof(double))
            if (way == Way::careful_loss && find_small_loss(call, p)) continue;
        if (way == Way::careful || way == Way::careful_loss) Careful<T>(call, p).solve();
    }
}

}  // namespace coalign::cuda
