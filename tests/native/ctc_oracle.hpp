// Random problems of CTC, and a forward-backward recursion in logarithms of long double that solves them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "ctc/problem.hpp"

namespace coalign::testing {

using namespace coalign::ctc;

using Real = long double;
inline constexpr Real kNone = -std::numeric_limits<Real>::infinity();

inline Real log_add(Real a, Real b) {
    if (a < b) std::swap(a, b);
    return b == kNone ? a : a + std::log1p(std::exp(b - a));
}

struct Shape {
    std::int64_t frames, columns, labels;
};

template <class T>
struct Case {
    Shape shape;
    Input input;
    std::int64_t blank = 0;
    std::vector<T> x;
    std::vector<std::int64_t> labels;

    Case(const Shape& of, Input is, T scale, unsigned seed) : shape(of), input(is) {
        std::mt19937 random(seed);
        std::normal_distribution<double> normal;
        x.resize(static_cast<std::size_t>(of.frames * of.columns));
        for (T& value : x) value = static_cast<T>(normal(random)) * scale;
        std::uniform_int_distribution<std::int64_t> label(1, of.columns - 1);
        labels.resize(static_cast<std::size_t>(of.labels));
        for (std::int64_t& each : labels) each = label(random);
    }
    T& at(std::int64_t t, std::int64_t c) { return x[static_cast<std::size_t>(t * shape.columns + c)]; }
    std::int64_t states() const { return 2 * shape.labels + 1; }
    std::int64_t symbol(std::int64_t s) const { return s % 2 != 0 ? labels[static_cast<std::size_t>(s / 2)] : blank; }
    bool skips(std::int64_t s) const { return s % 2 != 0 && s > 1 && symbol(s) != symbol(s - 2); }
};

struct Answer {
    Real loss;
    std::vector<Real> gradient, occupancy;
};

template <class T>
Answer solve_slowly(Case<T> c) {
    const std::int64_t frames = c.shape.frames, columns = c.shape.columns, states = c.states();
    if (frames == 0) return {states == 1 ? 0 : -kNone, {}, {}};
    std::vector<Real> score(static_cast<std::size_t>(frames * columns));
    const auto value = [&](std::int64_t t, std::int64_t k) -> Real& {
        return score[static_cast<std::size_t>(t * columns + k)];
    };
    for (std::int64_t t = 0; t < frames; ++t) {
        Real norm = kNone;
        for (std::int64_t k = 0; k < columns; ++k) norm = log_add(norm, static_cast<Real>(c.at(t, k)));
        for (std::int64_t k = 0; k < columns; ++k)
            value(t, k) = static_cast<Real>(c.at(t, k)) - (c.input == Input::logits ? norm : 0);
    }
    std::vector<Real> alpha(static_cast<std::size_t>(frames * states), kNone), beta(alpha);
    const auto cell = [&](std::vector<Real>& of, std::int64_t t, std::int64_t s) -> Real& {
        return of[static_cast<std::size_t>(t * states + s)];
    };
    // Other states cannot be reached by then, or cannot reach the end.
    const auto first = [&](std::int64_t t) { return std::max<std::int64_t>(0, states - 2 * (frames - t)); };
    const auto last = [&](std::int64_t t) { return std::min(states - 1, 2 * t + 1); };
    for (std::int64_t t = 0; t < frames; ++t)
        for (std::int64_t s = first(t); s <= last(t); ++s) {
            Real sum = t == 0 && s < 2 ? 0 : kNone;
            for (std::int64_t back = 0; t > 0 && back <= (c.skips(s) ? 2 : 1) && back <= s; ++back)
                sum = log_add(sum, cell(alpha, t - 1, s - back));
            cell(alpha, t, s) = sum + value(t, c.symbol(s));
        }
    for (std::int64_t t = frames - 1; t >= 0; --t)
        for (std::int64_t s = first(t); s <= last(t); ++s) {
            Real sum = t == frames - 1 && s >= states - 2 ? 0 : kNone;
            for (std::int64_t on = 0; t < frames - 1 && on <= 2 && s + on < states; ++on)
                if (on < 2 || c.skips(s + 2))
                    sum = log_add(sum, cell(beta, t + 1, s + on) + value(t + 1, c.symbol(s + on)));
            cell(beta, t, s) = sum;
        }
    Real total = kNone;
    for (std::int64_t s = std::max<std::int64_t>(0, states - 2); s < states; ++s)
        total = log_add(total, cell(alpha, frames - 1, s));
    Answer out{-total, std::vector<Real>(score.size()), std::vector<Real>(alpha.size())};
    if (total == kNone) return out;
    for (std::int64_t t = 0; t < frames; ++t) {
        for (std::int64_t k = 0; c.input == Input::logits && k < columns; ++k)
            out.gradient[static_cast<std::size_t>(t * columns + k)] = std::exp(value(t, k));
        for (std::int64_t s = 0; s < states; ++s) {
            const Real share = std::exp(cell(alpha, t, s) + cell(beta, t, s) - total);
            out.occupancy[static_cast<std::size_t>(t * states + s)] = share;
            out.gradient[static_cast<std::size_t>(t * columns + c.symbol(s))] -= share;
        }
    }
    return out;
}

// The dtype's lines in the contract.
template <class T>
inline constexpr Real kLossTolerance = sizeof(T) == sizeof(float) ? 1e-5L : 1e-10L;
template <class T>
inline constexpr Real kGradientTolerance = sizeof(T) == sizeof(float) ? 1e-4L : 1e-9L;
// A small loss is a difference of sums near 1, one for each frame: it is as exact as float64 there.
inline constexpr Real kSmallLoss = std::numeric_limits<double>::epsilon();

}  // namespace coalign::testing
