// One recording and its text in the plainest way: logarithms, a state after the other. It takes whatever the kernels
// cannot prove, of which the cause is scores of an enormous size that every alignment needs.
//
// Beside a score of -1e30 that all ways have in common, one double would lose what tells them apart. So logarithms are
// sums of as many doubles as it takes: one, two or four, until a bound on their roundings says that the shares of the
// ways are right.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "core/buffer.hpp"
#include "core/expansion.hpp"
#include "core/parallel.hpp"
#include "ctc/posteriors.hpp"
#include "ctc/problem.hpp"

namespace coalign::ctc {

// What the careful way has found.
struct CarefulFinding {
    double loss = 0;
    bool is_possible = false;   // some way has a probability above 0
    bool loss_is_sure = false;  // within the rounding that is promised
    bool is_sure = false;       // and so are gradient and occupancies
};

template <class T, int N>
class CarefulSums {
   public:
    CarefulSums(const Batch& batch, Pacer& pacer) : batch_(batch), pacer_(pacer) {}

    bool solve(std::int64_t problem, CarefulFinding& found, const Room<T>& gradient, T weight,
               const Room<T>& occupancy) {
        load(problem);
        const std::int64_t frames = frames_.rows;
        double size = 0;
        for (std::int64_t t = 0; t < frames; ++t) {
            normalise(t);
            if (t % segment_ == 0 && t > 0) std::copy_n(row(t - 1), states_, checkpoint(t));
            step_forward(t, t > 0 ? row(t - 1) : nullptr, row(t));
            for (std::int64_t s = 0; s < states_; ++s)
                if (!row(t)[s].is_none()) size = std::max(size, std::abs(row(t)[s].value()));
            if (!proceed()) return false;
        }
        const Number* const last = row(frames - 1);
        const Number total = states_ > 1 ? log_add(last[states_ - 1], last[states_ - 2]) : last[0];
        found = {-total.value() * kUnit, !total.is_none(), false, true};
        found.loss_is_sure =
            !found.is_possible || error_of(size) <= 1e-11 * std::max(std::abs(total.value()), 1 / kUnit);
        if (gradient.data == nullptr && occupancy.data == nullptr) return true;
        Number *before = beta_.data(), *after = before + states_;
        for (std::int64_t t = frames - 1; t >= 0; --t) {
            if (t % segment_ == segment_ - 1 && t < frames - 1 && !replay(t - segment_ + 1)) return false;
            step_back(t, after, before);
            for (std::int64_t s = 0; s < states_; ++s)
                occupied_.data()[s] = found.is_possible ? share(row(t)[s], before[s], total, found.is_sure) : 0;
            write(t, found.is_possible, gradient, weight, occupancy);
            std::swap(before, after);
            if (!proceed()) return false;
        }
        return true;
    }

   private:
    // Logarithms in units of 2^32, so that no sum of them overflows.
    using Number = Expansion<N>;
    static constexpr double kUnit = 0x1p32;
    static constexpr double kNone = -std::numeric_limits<double>::infinity();
    static constexpr double kTolerance = std::is_same_v<T, float> ? 1e-5 : 1e-9;

    static Number log_add(const Number& a, const Number& b) {
        if (a.is_none() || b.is_none()) return a.is_none() ? b : a;
        const double apart = b.less(a) * kUnit;
        Number sum = apart > 0 ? b : a;
        sum += std::log1p(std::exp(-std::abs(apart))) / kUnit;
        return sum;
    }

    // Of numbers of some size. The roundings of T frames are of any sign: they add up to about their root.
    double error_of(double size) const {
        return size * std::ldexp(std::sqrt(static_cast<double>(frames_.rows)), 2 - 53 * N);
    }

    // The probability of a state, given the text. Not sure where roundings may have changed a share that counts.
    double share(const Number& alpha, const Number& beta, const Number& total, bool& is_sure) const {
        if (alpha.is_none() || beta.is_none()) return 0;
        Number sum = alpha;
        sum += beta;
        const double log_share = sum.less(total) * kUnit;
        const double size = std::abs(alpha.value()) + std::abs(beta.value()) + std::abs(total.value());
        const double error = error_of(size) * kUnit;
        if (error > kTolerance && log_share + error > -30) is_sure = false;
        // Probabilities are at most 1; roundings may say more.
        return std::exp(std::min(log_share, 0.0));
    }

    void load(std::int64_t problem) {
        frames_ = batch_.frames.template at<T>(problem);
        labels_ = batch_.labels(problem);
        states_ = 2 * labels_.length + 1;
        segment_ = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(frames_.rows))));
        from_.reserve(frames_.rows);
        log_sum_.reserve(frames_.rows);
        alpha_.reserve(segment_ * states_);
        checkpoint_.reserve(segment_ * states_);
        beta_.reserve(2 * states_);
        occupied_.reserve(states_);
    }

    bool proceed() { return pacer_.proceed(8 * N * N * states_ + frames_.columns); }

    Number* row(std::int64_t t) { return alpha_.data() + t % segment_ * states_; }
    Number* checkpoint(std::int64_t t) { return checkpoint_.data() + t / segment_ * states_; }

    // Computes a segment's alpha again.
    bool replay(std::int64_t begin) {
        for (std::int64_t t = begin; t < begin + segment_; ++t) {
            step_forward(t, t == 0 ? nullptr : t == begin ? checkpoint(begin) : row(t - 1), row(t));
            if (!proceed()) return false;
        }
        return true;
    }

    std::int64_t symbol(std::int64_t state) const { return state % 2 != 0 ? labels_.at[state / 2] : batch_.blank; }
    bool skips(std::int64_t state) const {
        return state % 2 != 0 && state > 1 && labels_.at[state / 2] != labels_.at[state / 2 - 1];
    }
    double value(std::int64_t t, std::int64_t c) const {
        return static_cast<double>(frames_.data[t * frames_.row_stride + c]) / kUnit;
    }

    void normalise(std::int64_t t) {
        double most = kNone, sum = 0;
        if (batch_.input == Input::logits) {
            for (std::int64_t c = 0; c < frames_.columns; ++c) most = std::max(most, value(t, c));
            if (most > kNone)
                for (std::int64_t c = 0; c < frames_.columns; ++c) sum += std::exp((value(t, c) - most) * kUnit);
        }
        from_.data()[t] = most > kNone ? most : 0;
        log_sum_.data()[t] = sum > 0 ? std::log(sum) : 0;
    }

    // Adds the logarithm of a symbol's probability, without a rounding of its own.
    void add_score(Number& to, std::int64_t t, std::int64_t c) const {
        to += value(t, c);
        if (batch_.input == Input::log_probs) return;
        to += -from_.data()[t];
        to += -log_sum_.data()[t] / kUnit;
    }

    void step_forward(std::int64_t t, const Number* before, Number* now) const {
        for (std::int64_t s = 0; s < states_; ++s) {
            Number sum(before == nullptr && s >= 2 ? kNone : 0);
            if (before != nullptr) sum = s > 0 ? log_add(before[s], before[s - 1]) : before[s];
            if (before != nullptr && skips(s)) sum = log_add(sum, before[s - 2]);
            add_score(sum, t, symbol(s));
            now[s] = sum;
        }
    }

    // `after` is the next frame's, which takes the scores of that frame.
    void step_back(std::int64_t t, Number* after, Number* now) const {
        if (t == frames_.rows - 1) {
            for (std::int64_t s = 0; s < states_; ++s) now[s] = Number(s >= states_ - 2 ? 0 : kNone);
            return;
        }
        for (std::int64_t s = 0; s < states_; ++s) add_score(after[s], t + 1, symbol(s));
        for (std::int64_t s = 0; s < states_; ++s) {
            Number sum = after[s];
            if (s + 1 < states_) sum = log_add(sum, after[s + 1]);
            if (s + 2 < states_ && skips(s + 2)) sum = log_add(sum, after[s + 2]);
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
        const auto probability = [&](std::int64_t c) {
            const double apart = (value(t, c) - from_.data()[t]) * kUnit;
            return static_cast<T>(std::exp(apart - log_sum_.data()[t]));
        };
        for (std::int64_t c = 0; c < frames_.columns; ++c)
            row[c] = possible && batch_.input == Input::logits ? weight * probability(c) : T(0);
        for (std::int64_t s = 0; s < states_; ++s) row[symbol(s)] -= weight * static_cast<T>(occupied[s]);
    }

    const Batch& batch_;
    Pacer& pacer_;
    MatrixView<T> frames_{};
    Labels labels_{};
    std::int64_t states_ = 0, segment_ = 1;
    Buffer<double> from_, log_sum_, occupied_;
    Buffer<Number> alpha_, checkpoint_, beta_;
};

template <class T>
class Careful {
   public:
    Careful(const Batch& batch, Pacer& pacer) : one_(batch, pacer), two_(batch, pacer), four_(batch, pacer) {}

    // Values that are read must be neither NaN nor +inf. The gradient, of `weight` times the loss, may be null; the
    // loss has the same bits. False when the call is to stop.
    bool solve(std::int64_t problem, CarefulFinding& found, const Room<T>& gradient, T weight) {
        CarefulFinding again;
        if (!two_.solve(problem, found, gradient, weight, {})) return false;
        if (found.loss_is_sure && found.is_sure) return true;
        if (!four_.solve(problem, again, gradient, weight, {})) return false;
        if (found.loss_is_sure) again.loss = found.loss;
        found = again;
        return true;
    }

    // The occupancies of states alone.
    bool occupy(std::int64_t problem, CarefulFinding& found, const Room<T>& occupancy) {
        return one_.solve(problem, found, {}, T(1), occupancy) &&
               (found.is_sure || two_.solve(problem, found, {}, T(1), occupancy)) &&
               (found.is_sure || four_.solve(problem, found, {}, T(1), occupancy));
    }

   private:
    CarefulSums<T, 1> one_;
    CarefulSums<T, 2> two_;
    CarefulSums<T, 4> four_;
};

}  // namespace coalign::ctc
