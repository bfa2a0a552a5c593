// Greedy decoding and beam search against dictionaries of prefixes, in one piece and in several.
//
// Frames have heap blocks of their own, of exactly their size: a read past the last is one past the block.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "core/isa.hpp"
#include "core/parallel.hpp"
#include "ctc/beam.hpp"
#include "ctc/greedy.hpp"
#include "ctc/ngram.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::ctc;

namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();
using Labels = std::vector<std::int64_t>;

double log_add(double a, double b) {
    if (a < b) std::swap(a, b);
    return b == kNone ? a : a + std::log1p(std::exp(b - a));
}

template <class T>
struct Recordings {
    std::vector<std::vector<T>> held;
    RaggedTable table;
    std::int64_t columns;

    Recordings(std::int64_t count, std::int64_t most, std::int64_t symbols, unsigned seed)
        : table(count), columns(symbols) {
        std::mt19937 random(seed);
        std::normal_distribution<double> normal(0, 2);
        for (std::int64_t p = 0; p < count; ++p) {
            const std::int64_t frames = most * (p + 1) / count;
            std::vector<T> x(static_cast<std::size_t>(frames * columns));
            for (T& value : x) value = static_cast<T>(normal(random));
            held.push_back(std::move(x));
            table.add<void>({held.back().data(), frames, columns, columns, 1});
        }
    }
};

// The log-scores of a recording, in float64.
template <class T>
std::vector<std::vector<double>> log_scores(const std::vector<T>& x, std::int64_t columns) {
    std::vector<std::vector<double>> out;
    for (std::size_t at = 0; at < x.size(); at += static_cast<std::size_t>(columns)) {
        std::vector<double> row(x.begin() + static_cast<std::ptrdiff_t>(at),
                                x.begin() + static_cast<std::ptrdiff_t>(at) + static_cast<std::ptrdiff_t>(columns));
        double all = kNone;
        for (const double v : row) all = log_add(all, v);
        for (double& v : row) v -= all;
        out.push_back(row);
    }
    return out;
}

// The best labelling that a plain prefix beam search finds, and its score.
std::pair<double, Labels> search_plainly(const std::vector<std::vector<double>>& scores, std::int64_t blank,
                                         std::size_t width) {
    struct Mass {
        double blank = kNone, label = kNone;
        double both() const { return log_add(blank, label); }
    };
    std::map<Labels, Mass> beam{{{}, {0, kNone}}};
    for (const auto& row : scores) {
        std::map<Labels, Mass> after;
        for (const auto& [labels, mass] : beam) {
            Mass& same = after[labels];
            same.blank = log_add(same.blank, mass.both() + row[static_cast<std::size_t>(blank)]);
            for (std::int64_t c = 0; c < static_cast<std::int64_t>(row.size()); ++c) {
                if (c == blank) continue;
                const double here = row[static_cast<std::size_t>(c)];
                Labels longer = labels;
                longer.push_back(c);
                const bool repeats = !labels.empty() && labels.back() == c;
                if (repeats) after[labels].label = log_add(after[labels].label, mass.label + here);
                Mass& next = after[longer];
                next.label = log_add(next.label, (repeats ? mass.blank : mass.both()) + here);
            }
        }
        std::vector<std::pair<double, Labels>> ranked;
        for (const auto& [labels, mass] : after) ranked.emplace_back(-mass.both(), labels);
        std::sort(ranked.begin(), ranked.end());
        beam.clear();
        for (std::size_t k = 0; k < std::min(width, ranked.size()); ++k)
            beam[ranked[k].second] = after[ranked[k].second];
    }
    std::pair<double, Labels> best{kNone, {}};
    for (const auto& [labels, mass] : beam)
        if (mass.both() > best.first) best = {mass.both(), labels};
    return best;
}

template <class T>
void compare_beams(Isa isa, std::int64_t symbols, std::int64_t width, int threads) {
    const std::string what = std::string(name(isa)) + " " + std::to_string(symbols) + "/" + std::to_string(width);
    const Recordings<T> given(5, 60, symbols, 7);
    BeamOptions options;
    options.width = width;
    options.best = 2;
    options.blank = symbols - 1;
    std::vector<Labellings> found(given.held.size());
    Pulse pulse(nullptr);
    const auto& kernels = table_for<BeamKernels<T>>(isa);
    search_beams<T>(kernels, given.table.batch(), options, threads, 0, pulse, found);
    for (std::size_t p = 0; p < found.size(); ++p) {
        const auto expected =
            search_plainly(log_scores(given.held[p], symbols), options.blank, static_cast<std::size_t>(width));
        const Labellings& ours = found[p];
        check(ours.status == Status::ok, what + ": status");
        const Labels labels(ours.label.begin(), ours.label.begin() + static_cast<std::ptrdiff_t>(ours.length[0]));
        check(labels == expected.second, what + ": labels");
        check(std::abs(ours.total[0] - expected.first) <= 1e-9 * (1 + std::abs(expected.first)), what + ": total");

        // The same in pieces, whose memory ends with them.
        BeamSearch<T> search(kernels, options, symbols);
        Pacer pacer(pulse);
        const std::int64_t frames = static_cast<std::int64_t>(given.held[p].size()) / symbols;
        for (std::int64_t t = 0; t < frames; t += 7) {
            const std::int64_t count = std::min<std::int64_t>(7, frames - t);
            const auto begin = given.held[p].begin() + static_cast<std::ptrdiff_t>(t * symbols);
            const std::vector<T> piece(begin, begin + static_cast<std::ptrdiff_t>(count * symbols));
            std::int64_t bad = 0;
            check(search.read({piece.data(), count, symbols, symbols, 1}, pacer, bad) == BeamSearch<T>::Read::whole,
                  what + ": a piece");
        }
        Labellings pieces;
        check(search.find_best(pieces, pacer), "a search in pieces goes on to its end");
        check(pieces.label == ours.label && pieces.start == ours.start && pieces.stop == ours.stop &&
                  pieces.total == ours.total,
              what + ": pieces");
    }
}

template <class T>
void compare_greedy(Isa isa, std::int64_t symbols, int threads) {
    const std::string what = std::string(name(isa)) + " greedy " + std::to_string(symbols);
    const Recordings<T> given(6, 150, symbols, 8);
    Batch batch;
    batch.frames = given.table.batch();
    std::vector<GreedyOutcome<T>> outcomes(given.held.size());
    std::vector<std::vector<std::int64_t>> indices(given.held.size());
    std::vector<std::vector<T>> scores(given.held.size());
    for (std::size_t p = 0; p < outcomes.size(); ++p) {
        const std::size_t room = given.held[p].size() / static_cast<std::size_t>(symbols) + 1;
        indices[p].resize(3 * room);
        scores[p].resize(room);
        std::int64_t* const at = indices[p].data();
        outcomes[p].spans = {at, at + room, at + 2 * room, scores[p].data(), 0};
    }
    Pulse pulse(nullptr);
    decode_greedily<T>(table_for<GreedyKernels<T>>(isa), batch, true, threads, 0, pulse, outcomes.data());
    for (std::size_t p = 0; p < outcomes.size(); ++p) {
        Labels path;
        double total = 0;
        for (const auto& row : log_scores(given.held[p], symbols)) {
            path.push_back(std::max_element(row.begin(), row.end()) - row.begin());
            total += *std::max_element(row.begin(), row.end());
        }
        Labels expected;
        for (std::size_t t = 0; t < path.size(); ++t)
            if (path[t] != batch.blank && (t == 0 || path[t] != path[t - 1])) expected.push_back(path[t]);
        const LabelSpans<T>& spans = outcomes[p].spans;
        check(Labels(spans.label, spans.label + spans.count) == expected, what + ": labels");
        check(std::abs(outcomes[p].carry.total - total) <= 1e-4 * (1 + std::abs(total)), what + ": total");
    }
}

void ask_ngrams() {
    NGramModel model(3);
    const std::int64_t words[][2] = {{1, 2}, {2, 1}};
    model.add(&words[0][0], 1, -1, -0.5);
    model.add(&words[1][0], 1, -2, -0.25);
    model.add(words[0], 2, -0.125, 0);
    model.finish();
    const LanguageModel::Step first = model.step(model.start(), 1);
    check(first.score == -1, "a unigram");
    check(model.step(first.state, 2).score == -0.125, "a bigram");
    check(model.step(first.state, 1).score == -1.5, "a back-off");
    check(model.step(first.state, 0).score == kNone, "a label that no n-gram has");
    check(model.end(first.state) == 0, "no end of text");
}

}  // namespace

int main() {
    for (const Isa isa : available_isas())
        for (const int threads : {1, 3}) {
            for (const std::int64_t symbols : {2, 5, 33}) {
                compare_greedy<float>(isa, symbols, threads);
                compare_greedy<double>(isa, symbols, threads);
                for (const std::int64_t width : {1, 4, 11}) {
                    compare_beams<float>(isa, symbols, width, threads);
                    compare_beams<double>(isa, symbols, width, threads);
                }
            }
            compare_greedy<float>(isa, 700, threads);
            compare_beams<double>(isa, 130, 3, threads);
        }
    ask_ngrams();
    return report();
}
