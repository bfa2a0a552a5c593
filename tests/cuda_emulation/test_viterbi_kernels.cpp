// The kernels of forced alignment, on the emulated GPU, against plain loops over all states: the same path, as both add
// the same float64 numbers in the same order, with few warps, with and without checkpoints, in shared memory and not.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/status.hpp"
#include "cuda_runtime.h"
#include "noise.hpp"
#include "viterbi.hpp"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();
constexpr std::int64_t kWildcard = -5, kBlank = 2, kSymbols = 6;

struct Options {
    bool are_logits, has_wildcard, open_begin, open_end;
};

template <class T>
struct Problem {
    std::int64_t frames;
    std::vector<T> scores;
    std::vector<std::int64_t> text;
    double at(std::int64_t t, std::int64_t c) const {
        return static_cast<double>(scores[static_cast<std::size_t>(t * kSymbols + c)]);
    }
    std::int64_t labels() const { return static_cast<std::int64_t>(text.size()); }
    std::int64_t label(std::int64_t i) const { return text[static_cast<std::size_t>(i)]; }
};

struct Answer {
    double total = -kInfinite;
    std::vector<std::int64_t> states, symbols;
    std::vector<double> scores;
};

// The symbol that a state takes at a frame.
template <class T>
std::int64_t symbol_of(const Problem<T>& problem, const Options& options, std::int64_t t, std::int64_t state) {
    const std::int64_t i = state / 2;
    const bool is_label = state % 2 != 0;
    if (is_label && problem.label(i) != kWildcard) return problem.label(i);
    const bool is_open = (i == 0 && options.open_begin) || (i == problem.labels() && options.open_end);
    if (!is_label && !is_open) return kBlank;
    std::int64_t best = -1;
    for (std::int64_t c = 0; c < kSymbols; ++c)
        if (!(is_label && c == kBlank) && (best < 0 || problem.at(t, c) > problem.at(t, best))) best = c;
    return best;
}

// No path: a total of -inf.
template <class T>
Answer by_loops(const Problem<T>& problem, const Options& options) {
    const std::int64_t states = 2 * problem.labels() + 1;
    std::vector<std::vector<std::int64_t>> from;
    std::vector<double> best(static_cast<std::size_t>(states), -kInfinite);
    best[0] = 0;
    for (std::int64_t t = 0; t < problem.frames; ++t) {
        double most = -kInfinite;
        std::vector<double> emission;
        for (std::int64_t s = 0; s < states; ++s) {
            emission.push_back(problem.at(t, symbol_of(problem, options, t, s)));
            most = std::max(most, emission.back());
        }
        // The blank is read beside open ends, too.
        most = std::max(most, problem.at(t, kBlank));
        if (most == -kInfinite) most = 0;
        std::vector<double> next;
        from.emplace_back();
        for (std::int64_t s = 0; s < states; ++s) {
            const auto score = [&](std::int64_t steps) {
                return s >= steps ? best[static_cast<std::size_t>(s - steps)] : -kInfinite;
            };
            const std::int64_t i = s / 2;
            const bool may_skip = s % 2 != 0 && i > 0 && problem.label(i) != problem.label(i - 1);
            // A label stays; a blank is left for the label before it.
            std::int64_t steps = s % 2 == 0 && score(1) >= score(0) && s > 0 ? 1 : 0;
            if (s % 2 != 0 && score(1) > score(0)) steps = 1;
            if (may_skip && score(2) > score(steps)) steps = 2;
            from.back().push_back(steps);
            next.push_back(score(steps) + (emission[static_cast<std::size_t>(s)] - most));
        }
        best = next;
    }
    Answer out;
    std::int64_t state = states - 1;
    if (state > 0 && best[static_cast<std::size_t>(state - 1)] >= best[static_cast<std::size_t>(state)]) --state;
    if (best[static_cast<std::size_t>(state)] == -kInfinite) return out;
    out.states.resize(static_cast<std::size_t>(problem.frames));
    out.total = 0;
    for (std::int64_t t = problem.frames - 1; t >= 0; --t) {
        out.states[static_cast<std::size_t>(t)] = state;
        state -= from[static_cast<std::size_t>(t)][static_cast<std::size_t>(state)];
    }
    for (std::int64_t t = 0; t < problem.frames; ++t) {
        const std::int64_t symbol = symbol_of(problem, options, t, out.states[static_cast<std::size_t>(t)]);
        double score = problem.at(t, symbol), sum = 0;
        for (std::int64_t c = 0; c < kSymbols; ++c) sum += std::exp(problem.at(t, c));
        if (options.are_logits) score -= std::log(sum);
        out.symbols.push_back(symbol);
        out.scores.push_back(score);
        out.total += score;
    }
    return out;
}

enum class Values { normal, ties, holes };

template <class T>
Problem<T> draw(std::mt19937_64& random, Values values, std::int64_t frames, std::int64_t labels, bool has_wildcard) {
    Problem<T> out{frames, {}, {}};
    std::normal_distribution<double> normal;
    std::uniform_int_distribution<int> few(-1, 1), percent(0, 99), symbol(0, static_cast<int>(kSymbols) - 2);
    for (std::int64_t at = 0; at < frames * kSymbols; ++at) {
        double score = values == Values::ties ? few(random) : normal(random);
        if (values == Values::holes && percent(random) < 10) score = -kInfinite;
        out.scores.push_back(static_cast<T>(score));
    }
    for (std::int64_t i = 0; i < labels; ++i) {
        const std::int64_t drawn = symbol(random);
        out.text.push_back(has_wildcard && percent(random) < 10 ? kWildcard : drawn + (drawn >= kBlank ? 1 : 0));
    }
    return out;
}

// Problems side by side in one array, whose frames lie in either order.
template <class T>
void test_batch(std::mt19937_64& random, const std::vector<Problem<T>>& problems, const Options& options,
                const ViterbiLimits& limits, bool by_symbols, const std::string& what) {
    const auto count = static_cast<std::int64_t>(problems.size());
    std::vector<std::int64_t> frames, labels, frame_at, label_at;
    std::vector<const std::int64_t*> texts;
    std::int64_t rows = 1, most_labels = 0;
    for (const Problem<T>& problem : problems) {
        frames.push_back(problem.frames);
        labels.push_back(problem.labels());
        texts.push_back(problem.text.data());
        rows = std::max(rows, problem.frames);
        most_labels = std::max(most_labels, problem.labels());
    }
    for (std::int64_t p = 0; p < count; ++p) {
        frame_at.push_back(p * rows);
        label_at.push_back(p * most_labels);
    }
    ViterbiCall call;
    call.count = count;
    call.frames.count = count;
    call.frames.rows = rows;
    call.frames.columns = kSymbols;
    call.frames.item_stride = rows * kSymbols;
    call.frames.row_stride = by_symbols ? 1 : kSymbols;
    call.frames.column_stride = by_symbols ? rows : 1;
    const Noise<T> scores(count * rows * kSymbols);
    for (std::int64_t p = 0; p < count; ++p)
        for (std::int64_t t = 0; t < frames[static_cast<std::size_t>(p)]; ++t)
            for (std::int64_t c = 0; c < kSymbols; ++c)
                scores.get()[p * call.frames.item_stride + t * call.frames.row_stride + c * call.frames.column_stride] =
                    static_cast<T>(problems[static_cast<std::size_t>(p)].at(t, c));
    call.frames.data = scores.get();
    call.frame_counts = call.host_frame_counts = frames.data();
    call.label_counts = call.host_label_counts = labels.data();
    call.label_items = texts.data();
    call.most_labels = most_labels;
    call.blank = kBlank;
    call.input = options.are_logits ? ctc::Input::logits : ctc::Input::log_probs;
    call.has_wildcard = options.has_wildcard;
    call.wildcard = kWildcard;
    call.open_begin = options.open_begin;
    call.open_end = options.open_end;
    call.frame_at = frame_at.data();
    call.label_at = label_at.data();
    call.frame_room = rows;
    call.label_room = most_labels;
    const Noise<std::int64_t> symbols(count * rows), starts(count * most_labels), stops(count * most_labels);
    const Noise<T> frame_scores(count * rows), token_scores(count * most_labels), confidence(count * most_labels);
    const Noise<double> total(count);
    const Noise<std::int32_t> status(count);
    call.symbols = symbols.get();
    call.starts = starts.get();
    call.stops = stops.get();
    call.frame_scores = frame_scores.get();
    call.token_scores = token_scores.get();
    call.confidence = confidence.get();
    call.total = total.get();
    call.status = status.get();
    const ViterbiPlan plan = plan_viterbi(call, limits);
    if (limits.workspace_bytes == 0) check(plan.problems_per_launch == 1, what + "one problem at a time");
    const Noise<unsigned char> memory(plan.workspace_bytes);
    emulation::machine.seed = random();
    run_viterbi<T>(call, plan, memory.get(), nullptr);
    emulation::default_stream().synchronize();

    const double eps = std::numeric_limits<T>::epsilon();
    const auto is_near = [&](T found, double wanted) {
        return std::abs(static_cast<double>(found) - wanted) <= eps * std::abs(wanted) + 1e-12;
    };
    for (std::int64_t p = 0; p < count; ++p) {
        const Problem<T>& problem = problems[static_cast<std::size_t>(p)];
        const std::string which = what + "problem " + std::to_string(p) + ": ";
        const Answer wanted = by_loops(problem, options);
        const bool exists = wanted.total > -kInfinite;
        check(status[p] == static_cast<std::int32_t>(exists ? Status::ok : Status::infeasible), which + "status");
        check(exists ? std::abs(total[p] - wanted.total) <= 1e-9 : total[p] == -kInfinite, which + "total");
        std::vector<std::int64_t> begin(static_cast<std::size_t>(most_labels), -1), end(begin);
        std::vector<double> token(begin.size(), 0);
        for (std::int64_t t = 0; t < rows; ++t) {
            const bool is_there = exists && t < problem.frames;
            const auto at = static_cast<std::size_t>(t);
            check(symbols[p * rows + t] == (is_there ? wanted.symbols[at] : -1), which + "the symbol of a frame");
            check(is_near(frame_scores[p * rows + t], is_there ? wanted.scores[at] : 0), which + "a frame's score");
            if (!is_there || wanted.states[at] % 2 == 0) continue;
            const auto i = static_cast<std::size_t>(wanted.states[at] / 2);
            if (begin[i] < 0) begin[i] = t;
            end[i] = t + 1;
            token[i] += wanted.scores[at];
        }
        for (std::int64_t i = 0; i < most_labels; ++i) {
            const auto k = static_cast<std::size_t>(i);
            check(starts[p * most_labels + i] == begin[k] && stops[p * most_labels + i] == end[k], which + "a span");
            check(is_near(token_scores[p * most_labels + i], token[k]), which + "a token's score");
            const double sure = begin[k] < 0 ? 0 : std::exp(token[k] / static_cast<double>(end[k] - begin[k]));
            check(is_near(confidence[p * most_labels + i], sure), which + "a confidence");
        }
    }
}

template <class T>
void test_all() {
    std::mt19937_64 random(7);
    std::uniform_int_distribution<std::int64_t> labels(0, 100), more(-2, 90), problems(1, 3);
    for (int trial = 0; trial < (few() ? 8 : 24); ++trial) {
        const Options options{trial % 2 == 0, trial % 3 == 0, trial % 4 < 2, trial % 8 < 4};
        ViterbiLimits limits;
        limits.warps = 1 + static_cast<unsigned>(trial % 3);
        limits.shared_groups = trial % 5 < 2 ? 0 : 92;
        limits.workspace_bytes = trial % 7 < 3 ? 0 : limits.workspace_bytes;
        std::vector<Problem<T>> batch;
        for (std::int64_t left = problems(random); left > 0; --left) {
            const std::int64_t count = labels(random);
            batch.push_back(draw<T>(random, static_cast<Values>(trial % 3),
                                    std::max<std::int64_t>(count + more(random), 0), count, options.has_wildcard));
        }
        const std::string what = "trial " + std::to_string(trial) + ", " + std::to_string(sizeof(T)) + " bytes: ";
        test_batch(random, batch, options, limits, trial % 2 != 0, what);
    }
}

// Paths that move up by a lane a frame, each of 32 a frame later: one of them enters a group of lanes at the first
// frame of a piece that begins with a checkpoint. Long after, when that group is left alone, its scores are far lower.
template <class T>
void test_crossings() {
    constexpr std::int64_t frames = 400, labels = 160;
    std::mt19937_64 random(3);
    std::vector<Problem<T>> batch;
    for (std::int64_t late = 0; late < 32; ++late) {
        batch.push_back(draw<T>(random, Values::normal, frames, labels, false));
        Problem<T>& problem = batch.back();
        for (std::size_t i = 1; i < problem.text.size(); ++i)
            while (problem.text[i] == problem.text[i - 1])
                problem.text[i] = 3 + static_cast<std::int64_t>(random() % (kSymbols - 3));
        for (std::int64_t t = 0; t < frames; ++t) {
            const bool is_label = t >= late && t < late + labels;
            const std::int64_t symbol = is_label ? problem.label(t - late) : kBlank;
            problem.scores[static_cast<std::size_t>(t * kSymbols + symbol)] += 20;
        }
    }
    ViterbiLimits limits;
    limits.workspace_bytes = 0;
    for (const unsigned warps : {1U, 3U}) {
        limits.warps = warps;
        test_batch(random, batch, {}, limits, false, "crossings, " + std::to_string(warps) + " warps: ");
    }
}

// Directions are kept while they fit; a workspace never takes more than it says.
void test_plan() {
    const std::int64_t frames = 180'000, labels = 50'000;
    ViterbiCall call;
    call.count = 1;
    call.host_frame_counts = &frames;
    call.host_label_counts = &labels;
    const ViterbiPlan plan = plan_viterbi(call, {});
    check(plan.piece < frames && plan.workspace_bytes < 128 << 20, "an hour of speech: checkpoints");
    ViterbiLimits much;
    much.workspace_bytes = std::int64_t{1} << 33;
    check(plan_viterbi(call, much).piece == frames, "an hour of speech: all directions");
}

}  // namespace

int main() {
    test_all<float>();
    test_all<double>();
    test_crossings<float>();
    test_plan();
    return report();
}
