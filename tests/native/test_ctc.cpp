// Losses, gradients and occupancies against a forward-backward recursion in logarithms of long double.
//
// Frames and targets have heap blocks of their own, of exactly their size: a read past the last is one past the block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "ctc/posteriors.hpp"
#include "ctc_oracle.hpp"
#include "stopper.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::ctc;

namespace {

template <class T>
struct Found {
    std::vector<T> loss, gradient, occupancy;
    std::vector<Status> status;
    std::vector<std::int64_t> bad;
    Run run;
};

// Solves cases of one input and blank as a batch. Every problem's gradient has a column more than it needs.
template <class T>
Found<T> solve(std::vector<Case<T>>& cases, Isa isa, bool wants_gradient, bool wants_occupancy, int threads = 1,
               T weight = 1, Monitor* monitor = nullptr) {
    RaggedTable frames(static_cast<std::int64_t>(cases.size())), targets(static_cast<std::int64_t>(cases.size()));
    std::int64_t cells = 0, states = 0;
    for (Case<T>& c : cases) {
        frames.add(MatrixView<T>{c.x.data(), c.shape.frames, c.shape.columns, c.shape.columns, 1});
        targets.add(MatrixView<std::int64_t>{c.labels.data(), c.shape.labels, 1, 1, 1});
        cells += c.shape.frames * (c.shape.columns + 1);
        states += c.shape.frames * c.states();
    }
    const std::size_t count = cases.size();
    Found<T> out{std::vector<T>(count, T(7)),
                 std::vector<T>(static_cast<std::size_t>(cells), T(7)),
                 std::vector<T>(static_cast<std::size_t>(states), T(7)),
                 std::vector<Status>(count),
                 std::vector<std::int64_t>(count, -1),
                 {}};
    std::vector<Room<T>> gradient, occupancy;
    T *next = out.gradient.data(), *next_states = out.occupancy.data();
    for (const Case<T>& c : cases) {
        gradient.push_back({next, c.shape.columns + 1});
        occupancy.push_back({next_states, c.states()});
        next += c.shape.frames * (c.shape.columns + 1);
        next_states += c.shape.frames * c.states();
    }
    const std::vector<T> weights(count, weight);
    Pulse pulse(monitor);
    const Batch batch{frames.batch(), targets.series(1), cases[0].blank, cases[0].input};
    out.run = find_posteriors<T>(
        kernels_for<T>(isa), batch, threads, 0, pulse,
        {out.loss.data(), out.status.data(), out.bad.data(), wants_gradient ? gradient.data() : nullptr, weights.data(),
         wants_occupancy ? occupancy.data() : nullptr});
    return out;
}

template <class T>
void compare(Case<T> c, Isa isa, const std::string& what, const Answer& want) {
    const Real tolerance = kGradientTolerance<T>;
    std::vector<Case<T>> cases{c};
    const T weight = T(0.5);
    const Found<T> found = solve(cases, isa, true, true, 1, weight);
    check(found.status[0] == (std::isinf(want.loss) ? Status::infeasible : Status::ok), what + " status");
    const Real loss = static_cast<Real>(found.loss[0]);
    check(std::isinf(want.loss) ? std::isinf(loss)
                                : std::abs(loss - want.loss) <= std::max(kSmallLoss * static_cast<Real>(c.shape.frames),
                                                                         kLossTolerance<T> * std::abs(want.loss)),
          what + " loss " + std::to_string(loss) + " for " + std::to_string(want.loss));
    const std::int64_t columns = c.shape.columns;
    Real off = 0, states_off = 0;
    bool keeps_outside = true;
    for (std::int64_t t = 0; t < c.shape.frames; ++t) {
        for (std::int64_t k = 0; k < columns; ++k)
            off = std::max(
                off, std::abs(static_cast<Real>(found.gradient[static_cast<std::size_t>(t * (columns + 1) + k)]) -
                              static_cast<Real>(weight) * want.gradient[static_cast<std::size_t>(t * columns + k)]));
        keeps_outside = keeps_outside && found.gradient[static_cast<std::size_t>(t * (columns + 1) + columns)] == T(7);
    }
    for (std::size_t k = 0; k < want.occupancy.size(); ++k)
        states_off = std::max(states_off, std::abs(static_cast<Real>(found.occupancy[k]) - want.occupancy[k]));
    check(off <= tolerance, what + " gradient off by " + std::to_string(off));
    check(states_off <= tolerance, what + " occupancy off by " + std::to_string(states_off));
    check(keeps_outside, what + " writes past a row");
    // The loss alone has the same bits.
    const Found<T> alone = solve(cases, isa, false, false);
    check(alone.loss[0] == found.loss[0], what + " the loss alone");
}

template <class T>
void compare(const Case<T>& c, Isa isa, const std::string& what) {
    compare(c, isa, what, solve_slowly(c));
}

template <class T>
std::string name_of(const Case<T>& c, Isa isa) {
    return std::string(name(isa)) + (sizeof(T) == 4 ? " float32 " : " float64 ") + std::to_string(c.shape.frames) +
           "x" + std::to_string(c.shape.columns) + " " + std::to_string(c.shape.labels) +
           (c.input == Input::logits ? " logits" : " scores");
}

template <class T>
void test_shapes(Isa isa) {
    const std::vector<Shape> shapes{{1, 2, 0},   {1, 2, 1},   {2, 3, 1},   {3, 2, 2},    {9, 4, 4},     {16, 5, 7},
                                    {17, 5, 15}, {33, 6, 16}, {40, 9, 17}, {70, 3, 20},  {48, 1100, 9}, {64, 7, 31},
                                    {65, 7, 32}, {66, 7, 33}, {90, 4, 0},  {300, 12, 65}};
    for (const Shape& shape : shapes)
        for (const Input input : {Input::logits, Input::log_probs})
            for (const T scale : {T(1), T(30)}) {
                const Case<T> c(shape, input, scale, static_cast<unsigned>(shape.frames + shape.labels));
                compare(c, isa, name_of(c, isa));
            }
}

// What the forward pass knew is computed again from checkpoints.
template <class T>
void test_segments(Isa isa) {
    for (const Shape& shape : {Shape{1500, 5, 150}, Shape{400, 8, 350}}) {
        const Case<T> c(shape, Input::logits, T(2), 5);
        compare(c, isa, name_of(c, isa) + " in segments");
    }
    // Several threads on one recording, of both kinds of scores.
    for (const Input input : {Input::logits, Input::log_probs}) {
        std::vector<Case<T>> cases{Case<T>({1500, 5, 150}, input, T(2), 5)};
        const Found<T> one = solve(cases, isa, true, false);
        // Again and again: which of the workers goes forward, and finds the loss, is decided by a race.
        for (int run = 0; run < (few() ? 6 : 24); ++run) {
            const int threads = 2 + run % 2;
            const Found<T> several = solve(cases, isa, true, false, threads);
            check(several.loss == one.loss && several.gradient == one.gradient,
                  name_of(cases[0], isa) + " by " + std::to_string(threads) + " threads");
        }
        cases[0].at(700, cases[0].labels[10]) = std::numeric_limits<T>::quiet_NaN();
        const std::int64_t where = 700 * 5 + cases[0].labels[10];
        check(solve(cases, isa, true, false, 2).bad[0] == where, "NaN is found by two threads");
    }
}

template <class T>
void test_hard_scores(Isa isa) {
    constexpr T inf = std::numeric_limits<T>::infinity();
    for (const T never : {-inf, T(-1e4), T(-1e9), std::numeric_limits<T>::lowest()}) {
        const std::string what = " beside " + std::to_string(never);
        // A symbol that nothing needs, then one that every alignment needs.
        Case<T> spare({60, 6, 12}, Input::log_probs, T(1), 3);
        std::replace(spare.labels.begin(), spare.labels.end(), std::int64_t{5}, std::int64_t{1});
        for (std::int64_t t = 0; t < 60; ++t) spare.at(t, 5) = never;
        compare(spare, isa, name_of(spare, isa) + what);
        spare.input = Input::logits;
        compare(spare, isa, name_of(spare, isa) + what);
        Case<T> sometimes({60, 6, 12}, Input::log_probs, T(1), 4);
        for (std::int64_t t = 0; t < 60; ++t) sometimes.at(t, t % 6) = never;
        compare(sometimes, isa, name_of(sometimes, isa) + " at times" + what);
    }
    // Frames without a blank have no share of it, to the last bit.
    std::vector<Case<T>> blankless{Case<T>({60, 20, 12}, Input::log_probs, T(1), 3)};
    for (std::int64_t i = 0; i < 12; ++i) blankless[0].labels[static_cast<std::size_t>(i)] = i + 1;
    for (std::int64_t t = 0; t < 60; ++t) blankless[0].at(t, 0) = -inf;
    const Found<T> shares = solve(blankless, isa, true, false);
    for (std::size_t t = 0; t < 60; ++t) check(shares.gradient[t * 21] == 0, "a frame without a blank");
    // Others fall behind by more than a mantissa can tell, beside states that are 0.
    Case<T> far({60, 6, 12}, Input::log_probs, T(60), 4);
    for (std::int64_t t = 0; t < 60; ++t) far.at(t, t % 6) = -inf;
    compare(far, isa, name_of(far, isa) + " far behind");
    // A frame's scores may be far from those of the others.
    Case<T> low({60, 6, 12}, Input::log_probs, T(1), 4);
    for (std::int64_t k = 0; k < 6; ++k) low.at(7, k) -= T(3e6);
    compare(low, isa, name_of(low, isa) + " with a low frame");
    // One score that counts as 0 is better than two that do not.
    Case<T> choice({3, 3, 1}, Input::logits, T(0), 1);
    choice.labels[0] = 1;
    choice.at(0, 0) = choice.at(1, 0) = choice.at(2, 0) = T(-4.5e5);
    choice.at(1, 1) = T(-8e5);
    compare(choice, isa, name_of(choice, isa) + " with a choice");
    // No alignment does without a score of -1e9, and one costs less than two.
    Case<T> needed({20, 4, 3}, Input::log_probs, T(1), 6);
    for (std::int64_t t = 0; t < 20; ++t) needed.at(t, needed.labels[1]) = T(-1e9);
    compare(needed, isa, name_of(needed, isa) + " needs -1e9");
    Case<T> impossible({20, 4, 3}, Input::logits, T(1), 6);
    for (std::int64_t t = 0; t < 20; ++t) impossible.at(t, impossible.labels[1]) = -inf;
    compare(impossible, isa, name_of(impossible, isa) + " needs -inf");
    Case<T> empty_frame({20, 4, 3}, Input::logits, T(1), 6);
    for (std::int64_t k = 0; k < 4; ++k) empty_frame.at(7, k) = -inf;
    std::vector<Case<T>> cases{empty_frame};
    const Found<T> found = solve(cases, isa, true, false);
    check(found.status[0] == Status::infeasible && std::isinf(found.loss[0]), "a frame without a symbol");
    check(std::count(found.gradient.begin(), found.gradient.end(), T(0)) == 80, "whose gradient is 0");
}

// Every alignment needs a score of an enormous size, early or late, and how it shares its other frames does not depend
// on that size: beside -1e4, too, a way that needs two more has no share left.
template <class T>
void test_enormous_scores(Isa isa) {
    for (const Input input : {Input::log_probs, Input::logits})
        for (const double never : {-1e9, -1e12, -1e20, -1e30, -1.5e38}) {
            const auto masked = [&](double by) {
                Case<T> c({20, 4, 3}, input, T(1), 6);
                c.labels = {1, 2, 1};
                // Only labels that alignments have passed, or not yet reached, are free there.
                for (const std::int64_t t : {0, 19})
                    for (std::int64_t k = 0; k < 3; ++k) c.at(t, k) = static_cast<T>(by);
                // One way pays here and goes free there, another the other way round.
                for (const std::int64_t k : {0, 1}) c.at(5, k) = static_cast<T>(by);
                for (const std::int64_t k : {0, 2}) c.at(9, k) = static_cast<T>(by);
                return c;
            };
            const Case<T> c = masked(never);
            Answer want = solve_slowly(masked(-1e4));
            want.loss = solve_slowly(c).loss;
            compare(c, isa, name_of(c, isa) + " needs " + std::to_string(never), want);
        }
}

// Sums that no T holds, and terms that no sum of four doubles keeps apart, are said to be so.
template <class T>
void test_precision_limit(Isa isa) {
    constexpr T most = std::numeric_limits<T>::max();
    for (const T sign : {T(-1), T(1)}) {
        Case<T> beyond({4, 3, 1}, Input::log_probs, T(0), 1);
        for (T& value : beyond.x) value = sign * (most / 2);
        std::vector<Case<T>> cases{beyond};
        const Found<T> found = solve(cases, isa, true, true);
        check(found.status[0] == Status::precision_limit, name_of(beyond, isa) + " status of a sum beyond");
        check(found.loss[0] == -sign * std::numeric_limits<T>::infinity(), name_of(beyond, isa) + " a sum beyond");
        for (const T value : found.gradient) check(std::isfinite(value), name_of(beyond, isa) + " gradient");
    }
    if constexpr (std::is_same_v<T, double>) {
        Case<T> apart({20, 4, 3}, Input::log_probs, T(1), 6);
        for (std::int64_t k = 0; k < 4; ++k) apart.at(10, k) = -1e200 * static_cast<double>(k + 1);
        std::vector<Case<T>> cases{apart};
        check(solve(cases, isa, true, false).status[0] == Status::precision_limit,
              name_of(apart, isa) + " 1e200 apart");
    }
}

// A loss far below 1 has its digits.
template <class T>
void test_certainty(Isa isa) {
    for (const T margin : {T(8), T(12), T(20)}) {
        Case<T> c({200, 20, 20}, Input::logits, T(0.1), 2);
        for (std::int64_t i = 0; i < 20; ++i) c.labels[static_cast<std::size_t>(i)] = 1 + i % 19;
        for (std::int64_t t = 0; t < 200; ++t)
            c.at(t, t % 10 < 5 ? c.labels[static_cast<std::size_t>(t / 10)] : 0) += margin;
        compare(c, isa, name_of(c, isa) + " certain by " + std::to_string(margin));
    }
}

template <class T>
void test_batches(Isa isa) {
    std::vector<Case<T>> cases;
    for (unsigned p = 0; p < 40; ++p) cases.emplace_back(Shape{p % 7 == 3 ? 4 : 20 + p, 6, 8}, Input::logits, T(1), p);
    cases[11].at(2, 4) = std::numeric_limits<T>::quiet_NaN();
    cases[13].at(5, 0) = std::numeric_limits<T>::infinity();
    const Found<T> one = solve(cases, isa, true, true), two = solve(cases, isa, true, true, 2);
    check(two.run.workers >= 1 && one.run.workers == 1, "workers");
    check(one.bad[11] == 2 * 6 + 4 && one.status[11] == Status::nan, "where NaN is");
    check(one.bad[13] == 5 * 6 && one.status[13] == Status::nan, "where inf is");
    std::size_t at = 0;
    for (std::size_t p = 0; p < cases.size(); ++p) {
        const auto size = static_cast<std::size_t>(cases[p].shape.frames * 7);
        if (p != 11 && p != 13) {
            std::vector<Case<T>> alone{cases[p]};
            const Found<T> single = solve(alone, isa, true, true);
            const auto same = [&](const Found<T>& batch) {
                return batch.loss[p] == single.loss[0] && batch.status[p] == single.status[0] &&
                       std::equal(single.gradient.begin(), single.gradient.end(),
                                  batch.gradient.begin() + static_cast<std::ptrdiff_t>(at));
            };
            check(same(one) && same(two), "problem " + std::to_string(p) + " of a batch");
        }
        at += size;
    }
    // What no alignment meets is refused wherever vectors end.
    for (const T never : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()}) {
        std::vector<Case<T>> unmet{Case<T>({200, 70, 60}, Input::log_probs, T(1), 1)};
        for (std::int64_t i = 0; i < 60; ++i) unmet[0].labels[static_cast<std::size_t>(i)] = i + 1;
        unmet[0].at(0, 60) = never;
        check(solve(unmet, isa, true, false).bad[0] == 60, name_of(unmet[0], isa) + " a score that nothing meets");
    }
    // Values of other symbols are not read where scores are taken as they are.
    std::vector<Case<T>> unread{Case<T>({20, 6, 2}, Input::log_probs, T(1), 1)};
    unread[0].labels = {1, 2};
    for (std::int64_t t = 0; t < 20; ++t) unread[0].at(t, 4) = std::numeric_limits<T>::quiet_NaN();
    check(solve(unread, isa, true, false).status[0] == Status::ok, "NaN of a symbol that the text does not have");
    unread[0].at(9, 2) = std::numeric_limits<T>::quiet_NaN();
    check(solve(unread, isa, false, false).bad[0] == 9 * 6 + 2, "NaN of one that it has");
}

template <class T>
void test_stopping(Isa isa) {
    Stopper stopper;
    std::vector<Case<T>> cases{Case<T>({30000, 40, 1500}, Input::logits, T(1), 1)};
    check(solve(cases, isa, true, false, 1, T(1), &stopper).run.stopped, "a long recording is stopped");
}

}  // namespace

int main() {
    for (const Isa isa : available_isas()) {
        const auto both = [&]<class T>(T) {
            test_shapes<T>(isa);
            test_segments<T>(isa);
            test_hard_scores<T>(isa);
            test_enormous_scores<T>(isa);
            test_precision_limit<T>(isa);
            test_certainty<T>(isa);
            test_batches<T>(isa);
            test_stopping<T>(isa);
        };
        both(0.0f);
        both(0.0);
    }
    return report();
}
