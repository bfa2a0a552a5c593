// One recording and its text in the plainest way: float64, logarithms, a state after the other. It takes whatever the
// kernels cannot prove, of which the cause is scores of an enormous size that every alignment needs.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "ctc/posteriors.hpp"
#include "ctc/problem.hpp"

namespace coalign::ctc {

template <class T>
class Careful {
   public:
    Careful(const Batch& batch, Pacer& pacer) : batch_(batch), pacer_(pacer) {}

    // Values that are read must be neither NaN nor +inf. The gradient, of `weight` times the loss, and the states'
    // occupancies may be null. False when the call is to stop.
    bool solve(std::int64_t problem, double& loss, const Room<T>& gradient, T weight, const Room<T>& occupancy) {
        load(problem);
        const bool keeps = gradient.data != nullptr || occupancy.data != nullptr;
        double* const alpha = alpha_.reserve((keeps ? frames_.rows : 2) * states_);
        const auto row = [&](std::int64_t t) { return alpha + (keeps ? t : t % 2) * states_; };
        for (std::int64_t t = 0; t < frames_.rows; ++t) {
            normaliser_.data()[t] = log_normaliser(t);
            step_forward(t, t > 0 ? row(t - 1) : nullptr, row(t));
            if (!proceed()) return false;
        }
        const double* const last = row(frames_.rows - 1);
        const double total = states_ > 1 ? log_add(last[states_ - 1], last[states_ - 2]) : last[0];
        loss = -total;
        if (!keeps) return true;
        double *before = beta_.data(), *after = before + states_;
        for (std::int64_t t = frames_.rows - 1; t >= 0; --t) {
            step_back(t, after, before);
            for (std::int64_t s = 0; s < states_; ++s)
                occupied_.data()[s] = total > kNone ? std::exp(row(t)[s] + before[s] - total) : 0;
            write(t, total > kNone, gradient, weight, occupancy);
            std::swap(before, after);
            if (!proceed()) return false;
        }
        return true;
    }

   private:
    static constexpr double kNone = -std::numeric_limits<double>::infinity();

    static double log_add(double a, double b) {
        if (a < b) std::swap(a, b);
        return b > kNone ? a + std::log1p(std::exp(b - a)) : a;
    }

    void load(std::int64_t problem) {
        frames_ = batch_.frames.template at<T>(problem);
        labels_ = batch_.labels(problem);
        states_ = 2 * labels_.length + 1;
        normaliser_.reserve(frames_.rows);
        beta_.reserve(2 * states_);
        occupied_.reserve(states_);
    }

    bool proceed() { return pacer_.proceed(8 * states_ + frames_.columns); }

    std::int64_t symbol(std::int64_t state) const { return state % 2 != 0 ? labels_.at[state / 2] : batch_.blank; }
    bool skips(std::int64_t state) const {
        return state % 2 != 0 && state > 1 && labels_.at[state / 2] != labels_.at[state / 2 - 1];
    }
    double value(std::int64_t t, std::int64_t c) const {
        return static_cast<double>(frames_.data[t * frames_.row_stride + c]);
    }
    // The logarithm of a symbol's probability.
    double score(std::int64_t t, std::int64_t c) const {
        const double x = value(t, c);
        return x > kNone ? x - normaliser_.data()[t] : kNone;
    }

    double log_normaliser(std::int64_t t) const {
        if (batch_.input == Input::log_probs) return 0;
        double most = kNone, sum = 0;
        for (std::int64_t c = 0; c < frames_.columns; ++c) most = std::max(most, value(t, c));
        if (most == kNone) return 0;
        for (std::int64_t c = 0; c < frames_.columns; ++c) sum += std::exp(value(t, c) - most);
        return most + std::log(sum);
    }

    void step_forward(std::int64_t t, const double* before, double* now) const {
        for (std::int64_t s = 0; s < states_; ++s) {
            double sum = kNone;
            if (before == nullptr) sum = s < 2 ? 0 : kNone;
            else sum = s > 0 ? log_add(before[s], before[s - 1]) : before[s];
            if (before != nullptr && skips(s)) sum = log_add(sum, before[s - 2]);
            now[s] = sum + score(t, symbol(s));
        }
    }

    // `after` is the next frame's.
    void step_back(std::int64_t t, const double* after, double* now) const {
        if (t == frames_.rows - 1) {
            for (std::int64_t s = 0; s < states_; ++s) now[s] = s >= states_ - 2 ? 0 : kNone;
            return;
        }
        const auto through = [&](std::int64_t s) { return after[s] + score(t + 1, symbol(s)); };
        for (std::int64_t s = 0; s < states_; ++s) {
            double sum = through(s);
            if (s + 1 < states_) sum = log_add(sum, through(s + 1));
            if (s + 2 < states_ && skips(s + 2)) sum = log_add(sum, through(s + 2));
            now[s] = sum;
        }
    }

    // Where nothing is possible, gradient and occupancies are 0.
    void write(std::int64_t t, bool possible, const Room<T>& gradient, T weight, const Room<T>& occupancy) const {
        const double* const occupied = occupied_.data();
        if (occupancy.data != nullptr)
            std::transform(occupied, occupied + states_, occupancy.data + t * occupancy.row_stride,
                           [](double share) { return static_cast<T>(share); });
        if (gradient.data == nullptr) return;
        T* const row = gradient.data + t * gradient.row_stride;
        for (std::int64_t c = 0; c < frames_.columns; ++c)
            row[c] = possible && batch_.input == Input::logits ? weight * static_cast<T>(std::exp(score(t, c))) : T(0);
        for (std::int64_t s = 0; s < states_; ++s) row[symbol(s)] -= weight * static_cast<T>(occupied[s]);
    }

    const Batch& batch_;
    Pacer& pacer_;
    MatrixView<T> frames_{};
    Labels labels_{};
    std::int64_t states_ = 0;
    Buffer<double> normaliser_, alpha_, beta_, occupied_;
};

}  // namespace coalign::ctc
