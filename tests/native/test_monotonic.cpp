// Monotonic alignment reads nothing but the cells that a path can meet, and is the same however they lie.
//
// Each matrix has a heap block of its own, of exactly its size: a read past the last row is one past the block.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "ctc/monotonic.hpp"
#include "stopper.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::ctc;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Answer {
    std::vector<std::int64_t> durations, token_of_frame;
    double total = 0;
    Status status = Status::ok;
};

// The recursion of Glow-TTS over the whole matrix, whose sums of integers are exact.
Answer slow(const std::vector<double>& score, std::size_t n, std::size_t frames) {
    Answer answer{std::vector<std::int64_t>(n), std::vector<std::int64_t>(frames), 0, Status::ok};
    std::vector<double> best(n * frames, -kInfinity);
    for (std::size_t t = 0; t < frames; ++t)
        for (std::size_t i = 0; i < n; ++i) {
            const double stays = t > 0 ? best[i * frames + t - 1] : -kInfinity;
            const double moves = i > 0 && t > 0 ? best[(i - 1) * frames + t - 1] : i == 0 && t == 0 ? 0 : -kInfinity;
            best[i * frames + t] = std::max(stays, moves) + score[i * frames + t];
        }
    answer.total = best[n * frames - 1];
    std::size_t token = n - 1;
    for (std::size_t t = frames; t-- > 0;) {
        ++answer.durations[token];
        answer.token_of_frame[t] = static_cast<std::int64_t>(token);
        if (t > 0 && token > 0 && best[(token - 1) * frames + t - 1] > best[token * frames + t - 1]) --token;
    }
    return answer;
}

template <class T>
Answer align(Isa isa, const std::vector<T>& score, std::int64_t n, std::int64_t frames, bool by_frames) {
    Answer answer{std::vector<std::int64_t>(static_cast<std::size_t>(n), -7),
                  std::vector<std::int64_t>(static_cast<std::size_t>(frames), -7), 0, Status::ok};
    Ragged batch;
    batch.data = score.data();
    batch.count = 1;
    batch.rows = n;
    batch.columns = frames;
    batch.row_stride = by_frames ? 1 : frames;
    batch.column_stride = by_frames ? n : 1;
    std::vector<Monotonic> results{{answer.durations.data(), answer.token_of_frame.data(), &answer.total}};
    Pulse pulse(nullptr);
    align_monotonically<T>(table_for<MonotonicKernels<T>>(isa), batch, 1, 0, pulse, results);
    answer.status = results[0].status;
    return answer;
}

template <class T>
void try_shape(std::int64_t n, std::int64_t frames, std::mt19937& random) {
    std::uniform_int_distribution<int> digit(-9, 9);
    const auto rows = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(frames);
    std::vector<double> score(rows * columns);
    for (double& value : score) value = digit(random);
    const Answer wanted = slow(score, rows, columns);
    std::vector<T> by_tokens(score.begin(), score.end()), by_frames(score.size());
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t t = 0; t < columns; ++t) {
            T& value = by_tokens[i * columns + t];
            if (t < i || t - i > columns - rows) value = std::numeric_limits<T>::quiet_NaN();
            by_frames[t * rows + i] = value;
        }
    const std::string shape = std::to_string(n) + " x " + std::to_string(frames);
    for (const Isa isa : available_isas())
        for (const bool turned : {false, true}) {
            const Answer found = align<T>(isa, turned ? by_frames : by_tokens, n, frames, turned);
            check(found.status == Status::ok, shape);
            check(found.total == wanted.total, shape);
            check(found.durations == wanted.durations, shape);
            check(found.token_of_frame == wanted.token_of_frame, shape);
        }
}

// One problem, of tens of milliseconds: the monitor is asked every 20 ms.
void try_to_stop() {
    constexpr std::int64_t n = 16000, frames = 50000;
    const std::vector<float> score(frames);
    std::vector<std::int64_t> durations(n), tokens(frames);
    for (const bool turned : {false, true}) {
        Ragged batch;
        batch.data = score.data();
        batch.count = 1;
        batch.rows = n;
        batch.columns = frames;
        // Every token, or every frame, reads the same scores.
        batch.row_stride = turned ? 1 : 0;
        batch.column_stride = turned ? 0 : 1;
        double total = 0;
        std::vector<Monotonic> results{{durations.data(), tokens.data(), &total}};
        Stopper stopper;
        Pulse pulse(&stopper);
        const auto& kernels = table_for<MonotonicKernels<float>>(available_isas().back());
        check(align_monotonically<float>(kernels, batch, 1, 0, pulse, results).stopped);
    }
}

}  // namespace

int main() {
    std::mt19937 random(1);
    for (const std::int64_t n : {1, 2, 7, 15, 16, 17, 33, 48, 65})
        for (const std::int64_t more : {0, 1, 7, 15, 16, 17, 31, 33, 48, 130}) {
            try_shape<float>(n, n + more, random);
            try_shape<double>(n, n + more, random);
        }
    // Longer than one piece between two looks at the pulse.
    try_shape<float>(3, 40000, random);
    try_to_stop();
    return report();
}
