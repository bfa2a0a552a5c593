// The kernel of monotonic alignment, on the emulated GPU, against plain loops over the whole matrix: to the bit, as
// both add in float64, frame after frame.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/status.hpp"
#include "cuda_runtime.h"
#include "monotonic.hpp"
#include "noise.hpp"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

template <class T>
struct Problem {
    std::int64_t tokens, frames;
    std::vector<T> scores;
    double at(std::int64_t n, std::int64_t t) const {
        return static_cast<double>(scores[static_cast<std::size_t>(n * frames + t)]);
    }
};

struct Answer {
    double total = -kInfinite;
    std::vector<std::int64_t> token_of_frame;
};

// Algorithm 1 of Glow-TTS; going back it stays where it can. No path: a total of -inf.
template <class T>
Answer by_loops(const Problem<T>& problem) {
    const std::int64_t tokens = problem.tokens, frames = problem.frames;
    std::vector<double> best(static_cast<std::size_t>(tokens * frames), -kInfinite);
    const auto cell = [&](std::int64_t n, std::int64_t t) -> double& {
        return best[static_cast<std::size_t>(n * frames + t)];
    };
    for (std::int64_t t = 0; t < frames; ++t)
        for (std::int64_t n = 0; n < tokens && n <= t; ++n) {
            const double stays = t > 0 ? cell(n, t - 1) : -kInfinite;
            const double moves = t == 0 ? 0 : n > 0 ? cell(n - 1, t - 1) : -kInfinite;
            cell(n, t) = std::max(stays, moves) + problem.at(n, t);
        }
    Answer out;
    out.total = cell(tokens - 1, frames - 1);
    std::int64_t n = tokens - 1;
    for (std::int64_t t = frames - 1; t >= 0; --t) {
        out.token_of_frame.insert(out.token_of_frame.begin(), n);
        if (t > 0 && n > 0 && cell(n - 1, t - 1) > cell(n, t - 1)) --n;
    }
    return out;
}

enum class Values { normal, ties, holes };

template <class T>
Problem<T> draw(std::mt19937_64& random, Values values, std::int64_t tokens, std::int64_t frames) {
    Problem<T> out{tokens, frames, {}};
    std::normal_distribution<double> normal;
    std::uniform_int_distribution<int> few(-1, 1), percent(0, 99);
    for (std::int64_t at = 0; at < tokens * frames; ++at) {
        double score = values == Values::ties ? few(random) : normal(random);
        if (values == Values::holes && percent(random) < 10) score = -kInfinite;
        out.scores.push_back(static_cast<T>(score));
    }
    return out;
}

// Problems side by side in one array, with lengths on the device alone or on the host as well, and by tokens or frames.
template <class T>
void test_batch(std::mt19937_64& random, const std::vector<Problem<T>>& problems, bool by_frames, bool on_host,
                std::int64_t workspace, const std::string& what) {
    const auto count = static_cast<std::int64_t>(problems.size());
    std::vector<std::int64_t> tokens, frames;
    for (const Problem<T>& problem : problems) {
        tokens.push_back(problem.tokens);
        frames.push_back(problem.frames);
    }
    MonotonicCall call;
    call.count = count;
    call.rows = *std::max_element(tokens.begin(), tokens.end());
    call.columns = *std::max_element(frames.begin(), frames.end());
    call.item_stride = call.rows * call.columns;
    call.row_stride = by_frames ? 1 : call.columns;
    call.column_stride = by_frames ? call.rows : 1;
    const Noise<T> scores(count * call.item_stride);
    for (std::int64_t p = 0; p < count; ++p) {
        const Problem<T>& problem = problems[static_cast<std::size_t>(p)];
        for (std::int64_t n = 0; n < problem.tokens; ++n)
            for (std::int64_t t = 0; t < problem.frames; ++t)
                scores.get()[p * call.item_stride + n * call.row_stride + t * call.column_stride] =
                    problem.scores[static_cast<std::size_t>(n * problem.frames + t)];
    }
    call.data = scores.get();
    call.row_lengths = tokens.data();
    call.column_lengths = frames.data();
    if (on_host) {
        call.host_rows = tokens.data();
        call.host_columns = frames.data();
    }
    const Noise<std::int64_t> durations(count * call.rows), token_of_frame(count * call.columns);
    const Noise<double> total(count);
    const Noise<std::int32_t> status(count);
    call.durations = durations.get();
    call.token_of_frame = token_of_frame.get();
    call.total = total.get();
    call.status = status.get();
    const MonotonicPlan plan = plan_monotonic(call, workspace);
    check(workspace > 0 || plan.problems_per_launch == 1, what + "one problem at a time");
    const Noise<unsigned char> memory(plan.workspace_bytes);
    emulation::machine.seed = random();
    run_monotonic<T>(call, plan, memory.get(), nullptr);
    emulation::default_stream().synchronize();

    for (std::int64_t p = 0; p < count; ++p) {
        const Problem<T>& problem = problems[static_cast<std::size_t>(p)];
        const std::string which = what + "problem " + std::to_string(p) + ": ";
        const bool fits = problem.tokens > 0 && problem.tokens <= problem.frames;
        const Answer wanted = fits ? by_loops(problem) : Answer{};
        const bool exists = wanted.total > -kInfinite;
        check(status[p] == static_cast<std::int32_t>(exists ? Status::ok : Status::infeasible), which + "status");
        check(total[p] == wanted.total, which + "total");
        std::vector<std::int64_t> counts(static_cast<std::size_t>(call.rows), 0);
        for (std::int64_t t = 0; t < call.columns; ++t) {
            const std::int64_t token =
                exists && t < problem.frames ? wanted.token_of_frame[static_cast<std::size_t>(t)] : -1;
            check(token_of_frame[p * call.columns + t] == token, which + "the token of a frame");
            if (token >= 0) ++counts[static_cast<std::size_t>(token)];
        }
        for (std::int64_t n = 0; n < call.rows; ++n)
            check(durations[p * call.rows + n] == counts[static_cast<std::size_t>(n)], which + "a duration");
    }
}

template <class T>
void test_all() {
    std::mt19937_64 random(7);
    std::uniform_int_distribution<std::int64_t> tokens(1, 80), more(-3, 90), problems(1, 4);
    for (int trial = 0; trial < 60; ++trial) {
        const auto values = static_cast<Values>(trial % 3);
        std::vector<Problem<T>> batch;
        for (std::int64_t left = problems(random); left > 0; --left) {
            const std::int64_t n = tokens(random);
            batch.push_back(draw<T>(random, values, n, std::max<std::int64_t>(n + more(random), 1)));
        }
        const std::string what = "trial " + std::to_string(trial) + ", " + std::to_string(sizeof(T)) + " bytes: ";
        test_batch(random, batch, trial % 2 == 0, trial % 4 < 2, trial % 5 == 0 ? 0 : 1 << 30, what);
    }
    // More strips than a block has warps, with fewer tiles than that and with more.
    for (const std::int64_t frames : {300, 700})
        test_batch<T>(random, {draw<T>(random, Values::normal, 290, frames), draw<T>(random, Values::ties, 40, 290)},
                      frames == 300, true, 1 << 30, "many strips: ");
}

// A workspace is never too small for lengths that only the device knows.
void test_room() {
    for (const std::int64_t rows : {1, 31, 32, 33, 64, 100, 200})
        for (const std::int64_t columns : {1, 31, 32, 33, 63, 64, 65, 100, 130}) {
            MonotonicCall call;
            call.count = 1;
            call.rows = rows;
            call.columns = columns;
            std::int64_t most_sums = 0, most_words = 0;
            for (std::int64_t n = 1; n <= rows; ++n)
                for (std::int64_t t = n; t <= columns; ++t) {
                    call.host_rows = &n;
                    call.host_columns = &t;
                    const MonotonicPlan plan = plan_monotonic(call, 0);
                    check(plan.words == (n + 31) / 32 * ((t - n + 63) / 32) * 32);
                    most_sums = std::max(most_sums, plan.sums);
                    most_words = std::max(most_words, plan.words);
                }
            call.host_rows = call.host_columns = nullptr;
            call.row_lengths = call.column_lengths = &call.count;
            const MonotonicPlan plan = plan_monotonic(call, 0);
            check(plan.sums >= most_sums && plan.words >= most_words, std::to_string(rows));
        }
}

}  // namespace

int main() {
    test_all<float>();
    test_all<double>();
    test_room();
    return report();
}
