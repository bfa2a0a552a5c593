// Forced alignment against the plain recursion over states, on every instruction set.
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
#include "ctc/viterbi.hpp"
#include "stopper.hpp"

using namespace coalign;
using namespace coalign::testing;
using namespace coalign::ctc;

namespace {

constexpr double kNone = -std::numeric_limits<double>::infinity();

template <class T>
struct Case {
    std::int64_t frames, columns;
    std::vector<T> x;
    std::vector<std::int64_t> text;

    Case(std::int64_t frames_, std::int64_t columns_, std::int64_t length, unsigned seed)
        : frames(frames_), columns(columns_) {
        std::mt19937 random(seed);
        std::normal_distribution<double> normal;
        x.resize(static_cast<std::size_t>(frames * columns));
        for (T& value : x) value = static_cast<T>(normal(random));
        std::uniform_int_distribution<std::int64_t> label(1, columns - 1);
        text.resize(static_cast<std::size_t>(length));
        for (std::int64_t& each : text) each = label(random);
    }
    double at(std::int64_t t, std::int64_t c) const {
        return static_cast<double>(x[static_cast<std::size_t>(t * columns + c)]);
    }
    Batch batch() const {
        Batch out;
        out.frames.data = x.data();
        out.frames.count = out.targets.count = 1;
        out.frames.rows = frames;
        out.frames.columns = out.frames.row_stride = columns;
        out.targets.data = text.data();
        out.targets.rows = static_cast<std::int64_t>(text.size());
        out.targets.columns = out.targets.row_stride = 1;
        out.input = Input::log_probs;
        return out;
    }
    // The best score of all paths.
    double best() const {
        std::vector<std::int64_t> states{0};
        for (const std::int64_t label : text) states.insert(states.end(), {label, 0});
        std::vector<double> score(states.size(), kNone);
        score[0] = 0;
        for (std::int64_t t = 0; t < frames; ++t)
            for (std::size_t s = states.size(); s-- > 0;) {
                double from = score[s];
                if (s > 0) from = std::max(from, score[s - 1]);
                if (s > 1 && states[s] != 0 && states[s] != states[s - 2]) from = std::max(from, score[s - 2]);
                score[s] = from + at(t, states[s]);
            }
        return states.size() > 1 ? std::max(score.back(), score[score.size() - 2]) : score.back();
    }
};

template <class T>
struct Answer {
    std::vector<std::int64_t> symbols, starts, stops;
    std::vector<T> frame_scores, token_scores, confidence;
    double total = 0;
    Status status = Status::ok;
    std::int64_t bad = -1;
    bool stopped = false;

    Answer(const Case<T>& given, Isa isa, AlignOptions options, Monitor* monitor = nullptr)
        : symbols(static_cast<std::size_t>(given.frames)),
          starts(given.text.size()),
          stops(given.text.size()),
          frame_scores(symbols.size()),
          token_scores(given.text.size()),
          confidence(given.text.size()) {
        const Alignment<T> each{symbols.data(), frame_scores.data(), starts.data(),
                                stops.data(),   token_scores.data(), confidence.data()};
        Pulse pulse(monitor);
        const Batch batch = given.batch();
        stopped = align<T>(table_for<ViterbiKernels<T>>(isa), batch, options, 0, pulse, {&each, &total, &status, &bad})
                      .stopped;
    }
};

template <class T>
void check_shape(std::int64_t frames, std::int64_t columns, std::int64_t length, unsigned seed) {
    const Case<T> given(frames, columns, length, seed);
    const double best = given.best();
    for (const Isa isa : available_isas()) {
        for (const std::int64_t bytes : {kAlignCheckpointBytes, std::int64_t{0}}) {
            const std::string what = std::to_string(frames) + " frames, " + std::to_string(length) + " labels, " +
                                     std::string(name(isa)) + ", " + std::to_string(bytes) + " bytes";
            AlignOptions options;
            options.checkpoint_bytes = bytes;
            const Answer<T> found(given, isa, options);
            check((found.status == Status::ok) == (best > kNone), what);
            if (found.status != Status::ok) continue;
            check(std::abs(found.total - best) <= 1e-12 * static_cast<double>(frames), what);
            double sum = 0;
            for (std::int64_t t = 0; t < frames; ++t) sum += given.at(t, found.symbols[static_cast<std::size_t>(t)]);
            check(std::abs(sum - best) <= 1e-12 * static_cast<double>(frames), what);
            std::int64_t end = 0;
            for (std::size_t i = 0; i < given.text.size(); ++i) {
                check(end <= found.starts[i] && found.starts[i] < found.stops[i], what);
                end = found.stops[i];
            }
            check(end <= frames, what);
        }
    }
}

// Paths that move up by a lane a frame, each a frame later than the one before: some enter a group of lanes at the
// first frame of a piece.
void check_crossings() {
    for (const Isa isa : available_isas())
        for (std::int64_t late = 0; late < 32; ++late) {
            Case<double> given(320, 6, 320 - late, 1);
            for (std::int64_t t = 0; t < late; ++t) given.x[static_cast<std::size_t>(t * 6)] += 20;
            for (std::int64_t i = 0; i < 320 - late; ++i) {
                given.text[static_cast<std::size_t>(i)] = 3 + i % 3;
                given.x[static_cast<std::size_t>((late + i) * 6 + 3 + i % 3)] += 20;
            }
            AlignOptions options;
            options.checkpoint_bytes = 0;
            const Answer<double> found(given, isa, options);
            bool is_right = found.status == Status::ok;
            for (std::int64_t i = 0; i < 320 - late; ++i)
                is_right = is_right && found.starts[static_cast<std::size_t>(i)] == late + i;
            check(is_right, "a path that is " + std::to_string(late) + " frames late, " + std::string(name(isa)));
        }
}

}  // namespace

int main() {
    unsigned seed = 0;
    for (const std::int64_t frames : {0, 1, 2, 7, 8, 9, 31, 64, 65, 200})
        for (const std::int64_t length : {0, 1, 2, 7, 8, 15, 16, 31, 32, 33, 63})
            for (const std::int64_t columns : {2, 5, 33}) {
                check_shape<float>(frames, columns, length, ++seed);
                check_shape<double>(frames, columns, length, ++seed);
            }
    check_crossings();
    Case<float> given(40, 4, 5, 1);
    given.x[42] = std::numeric_limits<float>::quiet_NaN();
    given.text = {1, 2, 3, 2, 1};
    const Isa isa = available_isas().back();
    const Answer<float> spoilt(given, isa, {});
    check(spoilt.status == Status::nan && spoilt.bad == 42, "NaN");
    Stopper stopper;
    const Case<float> great(60'000, 4, 15'000, 2);  // a fast machine takes some tenths of a second
    check(Answer<float>(great, isa, {}, &stopper).stopped, "a call that is stopped");
    return report();
}
