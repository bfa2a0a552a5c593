// Problems that the quick way cannot prove: in logarithms that are sums of two
// doubles, a block for each. See csrc/ctc/careful.hpp, whose bounds on roundings
// these are; there is no way with four doubles here.
#pragma once

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>

#include "core/expansion.hpp"
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
          segment_(keeps_ ? segment_of(of_.frames) : 2),
          alpha_(reinterpret_cast<Number*>(of_.emission)),
          checkpoint_(alpha_ + segment_ * states_),
          beta_(checkpoint_ + (of_.frames - 1) / segment_ * states_),
          normaliser_(reinterpret_cast<Normaliser*>(beta_ + 2 * states_)) {}

    // What a gradient takes of that room.
    static __host__ __device__ std::int64_t bytes_of(std::int64_t frames, std::int64_t labels) {
        const std::int64_t segment = segment_of(frames), rows = segment + (frames - 1) / segment + 2;
        return rows * (2 * labels + 1) * static_cast<std::int64_t>(sizeof(Number)) +
               frames * static_cast<std::int64_t>(sizeof(Normaliser));
    }

    __device__ void solve() {
        const std::int64_t frames = of_.frames;
        double size = 0;
        for (std::int64_t t = 0; t < frames; ++t) {
            const Normaliser norm = normaliser(t);
            if (keeps_ && team_.rank() == 0) normaliser_[t] = norm;
            if (keeps_ && t > 0 && t % segment_ == 0)
                for (std::int64_t s = team_.rank(); s < states_; s += team_.size()) checkpoint(t)[s] = row(t - 1)[s];
            step_forward(t, t > 0 ? row(t - 1) : nullptr, norm);
            for (std::int64_t s = team_.rank(); s < states_; s += team_.size())
                if (!row(t)[s].is_none()) size = greater(size, absolute(row(t)[s].value()));
            __syncthreads();
        }
        size = team_.most(size);
        const Number* const last = row(frames - 1);
        const Number total = states_ > 1 ? log_add(last[states_ - 1], last[states_ - 2]) : last[0];
        const bool possible = !total.is_none();
        bool is_sure = !possible || error_of(size) <= 1e-11 * greater(absolute(total.value()), 1 / kUnit);
        __syncthreads();
        for (std::int64_t t = frames - 1; t >= 0 && keeps_; --t) {
            if (t % segment_ == segment_ - 1 && t < frames - 1) replay(t - segment_ + 1);
            step_back(t);
            if (possible) share(t, total, is_sure);
            start_gradient(t, possible);
            __syncthreads();
            if (possible) subtract_shares(t);
            __syncthreads();
        }
        is_sure = team_.least(is_sure ? 1 : 0) != 0;
        if (team_.rank() == 0)
            put_loss(call_, p_, -total.value() * kUnit,
                     !possible ? Status::infeasible
                     : is_sure ? Status::ok
                               : Status::precision_limit);
    }

   private:
    // Logarithms in units of 2^32, so that no sum of them overflows.
    using Number = Expansion<2>;
    static constexpr double kUnit = 0x1p32;
    static constexpr double kNone = -kInfinity<double>;
    static constexpr double kTolerance = sizeof(T) == sizeof(float) ? 1e-5 : 1e-9;

    // Of a frame: its best score, in units, and the logarithm of the sum relative to that.
    struct Normaliser {
        double from, log_sum;
    };

    static __device__ Number log_add(const Number& a, const Number& b) {
        if (a.is_none() || b.is_none()) return a.is_none() ? b : a;
        const double apart = b.less(a) * kUnit;
        Number sum = apart > 0 ? b : a;
        sum += log1p(exp(-absolute(apart))) / kUnit;
        return sum;
    }

    static __host__ __device__ std::int64_t segment_of(std::int64_t frames) {
        return static_cast<std::int64_t>(ceil(sqrt(static_cast<double>(frames))));
    }

    __device__ double error_of(double size) const { return size * sqrt(static_cast<double>(of_.frames)) * 0x1p-104; }

    __device__ Number* row(std::int64_t t) const { return alpha_ + t % segment_ * states_; }
    __device__ Number* checkpoint(std::int64_t t) const { return checkpoint_ + (t / segment_ - 1) * states_; }
    __device__ Number* beta(std::int64_t t) const { return beta_ + t % 2 * states_; }
    __device__ std::int64_t symbol(std::int64_t s) const { return s % 2 != 0 ? of_.label[s / 2] : of_.blank; }
    __device__ bool skips(std::int64_t s) const { return s % 2 != 0 && of_.skips(s / 2); }
    __device__ double value(std::int64_t t, std::int64_t c) const {
        return static_cast<double>(of_.score(t, c)) / kUnit;
    }

    __device__ Normaliser normaliser(std::int64_t t) const {
        if (!call_.is_logits) return {0, 0};
        double most = kNone, sum = 0;
        for (std::int64_t c = team_.rank(); c < of_.columns; c += team_.size()) most = greater(most, value(t, c));
        most = team_.most(most);
        if (most == kNone) return {0, 0};
        for (std::int64_t c = team_.rank(); c < of_.columns; c += team_.size())
            sum += exp((value(t, c) - most) * kUnit);
        return {most, log(team_.sum(sum))};
    }

    // Adds the logarithm of a symbol's probability, without a rounding of its own.
    __device__ void add_score(Number& to, std::int64_t t, std::int64_t c, const Normaliser& norm) const {
        to += value(t, c);
        if (!call_.is_logits) return;
        to += -norm.from;
        to += -norm.log_sum / kUnit;
    }

    __device__ void step_forward(std::int64_t t, const Number* before, const Normaliser& norm) const {
        for (std::int64_t s = team_.rank(); s < states_; s += team_.size()) {
            Number sum(before == nullptr && s >= 2 ? kNone : 0);
            if (before != nullptr) sum = s > 0 ? log_add(before[s], before[s - 1]) : before[s];
            if (before != nullptr && skips(s)) sum = log_add(sum, before[s - 2]);
            add_score(sum, t, symbol(s), norm);
            row(t)[s] = sum;
        }
    }

    // Computes a segment's alpha again.
    __device__ void replay(std::int64_t begin) const {
        for (std::int64_t t = begin; t < begin + segment_; ++t) {
            step_forward(t, t == 0 ? nullptr : t == begin ? checkpoint(begin) : row(t - 1), normaliser_[t]);
            __syncthreads();
        }
    }

    // The next frame's beta takes the scores of that frame.
    __device__ void step_back(std::int64_t t) const {
        Number *const after = beta(t + 1), *const now = beta(t);
        const bool is_last = t == of_.frames - 1;
        for (std::int64_t s = team_.rank(); s < states_ && !is_last; s += team_.size())
            add_score(after[s], t + 1, symbol(s), normaliser_[t + 1]);
        __syncthreads();
        for (std::int64_t s = team_.rank(); s < states_; s += team_.size()) {
            Number sum(s >= states_ - 2 ? 0 : kNone);
            if (!is_last) {
                sum = after[s];
                if (s + 1 < states_) sum = log_add(sum, after[s + 1]);
                if (s + 2 < states_ && skips(s + 2)) sum = log_add(sum, after[s + 2]);
            }
            now[s] = sum;
        }
    }

    // Turns a thread's states of alpha into occupancies. Not sure where roundings may have changed one that counts.
    __device__ void share(std::int64_t t, const Number& total, bool& is_sure) const {
        for (std::int64_t s = team_.rank(); s < states_; s += team_.size()) {
            const Number alpha = row(t)[s], beta_here = beta(t)[s];
            double probability = 0;
            if (!alpha.is_none() && !beta_here.is_none()) {
                Number sum = alpha;
                sum += beta_here;
                const double log_share = sum.less(total) * kUnit;
                const double size = absolute(alpha.value()) + absolute(beta_here.value()) + absolute(total.value());
                const double error = error_of(size) * kUnit;
                if (error > kTolerance && log_share + error > -30) is_sure = false;
                probability = exp(lesser(log_share, 0.0));
            }
            row(t)[s] = Number(probability);
        }
    }

    // The softmax, where a gradient has one.
    __device__ void start_gradient(std::int64_t t, bool possible) const {
        T* const gradient = of_.gradient_row(t);
        const Normaliser norm = normaliser_[t];
        for (std::int64_t c = team_.rank(); c < of_.columns; c += team_.size()) {
            const double log_share = (value(t, c) - norm.from) * kUnit - norm.log_sum;
            gradient[c] = possible && call_.has_softmax ? of_.weight * static_cast<T>(exp(log_share)) : T(0);
        }
    }

    __device__ void subtract_shares(std::int64_t t) const {
        const Number* const occupied = row(t);
        T* const gradient = of_.gradient_row(t);
        double blank = 0;
        for (std::int64_t i = team_.rank(); i <= of_.labels; i += team_.size()) blank += occupied[2 * i].value();
        blank = team_.sum(blank);
        if (team_.rank() == 0) gradient[of_.blank] -= of_.weight * static_cast<T>(blank);
        for (std::int64_t k = team_.rank(); k < of_.labels; k += team_.size()) {
            const int symbol_here = of_.sorted[k].symbol;
            if (k > 0 && of_.sorted[k - 1].symbol == symbol_here) continue;
            double sum = 0;
            for (std::int64_t j = k; j < of_.labels && of_.sorted[j].symbol == symbol_here; ++j)
                sum += occupied[2 * of_.sorted[j].position + 1].value();
            gradient[symbol_here] -= of_.weight * static_cast<T>(sum);
        }
    }

    const Call<T>& call_;
    std::int64_t p_;
    Problem<T> of_;
    std::int64_t states_;
    bool keeps_;
    std::int64_t segment_;
    Number *alpha_, *checkpoint_, *beta_;
    Normaliser* normaliser_;
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
