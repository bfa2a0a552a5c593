// J. Kim, S. Kim, J. Kong, S. Yoon: Glow-TTS: a generative flow for text-to-speech via monotonic alignment search.
// NeurIPS 2020, algorithm 1. Token n can be at the frames n to n + T - N, and no other cell is read.
#include "ctc/monotonic.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "core/buffer.hpp"

namespace coalign::ctc {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

template <class T>
class Aligner {
   public:
    Aligner(const MonotonicKernels<T>& kernels, Pulse& pulse) : kernels_(kernels), pacer_(pulse) {}

    // False when the call is to stop.
    bool solve(const MatrixView<T>& score, Monotonic& result) {
        *result.total = 0;
        slack_ = score.columns - score.rows;
        if (score.rows == 0 && score.columns == 0) return true;
        *result.total = -kInfinity;
        result.status = Status::infeasible;
        if (score.rows > 0 && slack_ >= 0 && !search(score, result)) return false;
        if (result.status == Status::ok || result.status == Status::precision_limit) return trace_back(score, result);
        return fill(result.durations, score.rows, std::int64_t{0}) &&
               fill(result.token_of_frame, score.columns, std::int64_t{-1});
    }

   private:
    // Frames between two looks at the pulse: whole tiles of the kernels.
    static constexpr std::int64_t kFrames = 1 << 14;

    // The frames of a strip of `tokens`.
    std::int64_t frames(std::int64_t tokens) const { return slack_ + tokens; }
    StripBits* moved(std::int64_t strip) const { return moved_.data() + strip * frames(kStrip); }

    template <class V>
    bool fill(V* values, std::int64_t count, V value) {
        for (std::int64_t at = 0; at < count; at += kFrames) {
            std::fill(values + at, values + std::min(at + kFrames, count), value);
            if (!pacer_.proceed(kFrames)) return false;
        }
        return true;
    }

    bool search(const MatrixView<T>& score, Monotonic& result) {
        bool is_right = true;
        if (!find_best(score, *result.total, is_right)) return false;
        if (!is_right) {
            result.status = Status::nan;
            return find_first_wrong(score, result);
        }
        bool exists = std::isfinite(*result.total);
        if (exists) result.status = Status::ok;
        else if (!find_any(score, exists)) return false;
        else if (exists) result.status = Status::precision_limit;
        return true;
    }

    bool find_best(const MatrixView<T>& score, double& total, bool& is_right) {
        const std::int64_t count = (score.rows + kStrip - 1) / kStrip, room = slack_ + 1 + 2 * kStrip;
        moved_.reserve(count * frames(kStrip));
        double* const best = best_.reserve(count * kStrip);
        double* const before = before_.reserve(room) + kStrip;
        if (!fill(best, count * kStrip, -kInfinity) || !fill(before_.data(), room, -kInfinity)) return false;
        before[0] = 0;
        strips_.clear();
        for (std::int64_t s = 0; s < count; ++s) {
            const std::int64_t token = s * kStrip;
            strips_.push_back({score.data + token * (score.row_stride + score.column_stride), score.row_stride,
                               score.column_stride, std::min<std::int64_t>(kStrip, score.rows - token), slack_, before,
                               moved(s), best + token});
        }
        // Scores are read in the order in which they lie: strip by strip, or, where the tokens of a frame lie side by
        // side, all strips of some frames. What a strip leaves for the next one has not been written over by then.
        const std::int64_t step = std::abs(score.row_stride) < std::abs(score.column_stride) ? kTile : score.columns;
        for (std::int64_t begin = 0; begin < score.columns; begin += step)
            for (std::int64_t s = 0; s < count; ++s) {
                const Strip<T>& strip = strips_[static_cast<std::size_t>(s)];
                const std::int64_t first = std::max<std::int64_t>(begin - s * kStrip, 0);
                const std::int64_t stop = std::min(begin + step - s * kStrip, frames(strip.tokens));
                for (std::int64_t f = first; f < stop; f += kFrames) {
                    const std::int64_t to = std::min(f + kFrames, stop);
                    is_right &= kernels_.advance(strip, f, to);
                    if (!pacer_.proceed(to - f)) return false;
                }
            }
        total = best[score.rows - 1];
        return true;
    }

    bool trace_back(const MatrixView<T>& score, Monotonic& result) {
        if (!fill(result.durations, score.rows, std::int64_t{0})) return false;
        std::int64_t token = score.rows - 1;
        for (std::int64_t t = score.columns - 1; t >= 0; --t) {
            ++result.durations[token];
            result.token_of_frame[t] = token;
            const std::int64_t first = token / kStrip * kStrip;
            // Bits mean nothing past an overflow, so that the path is told where it has to move.
            const bool moves = (moved(token / kStrip)[t - first] >> (token - first) & 1) != 0;
            if (token > 0 && (token == t || (moves && t > 0))) --token;
            if (!pacer_.proceed(1)) return false;
        }
        return true;
    }

    bool find_first_wrong(const MatrixView<T>& score, Monotonic& result) {
        for (std::int64_t n = 0; n < score.rows; ++n) {
            for (std::int64_t t = n; t <= n + slack_; ++t) {
                if (score.data[n * score.row_stride + t * score.column_stride] < kInfinity) continue;
                result.row = n;
                result.column = t;
                return true;
            }
            if (!pacer_.proceed(slack_ + 1)) return false;
        }
        return true;
    }

    // Whether a path avoids -inf: of each token, which of its frames a path can end at.
    bool find_any(const MatrixView<T>& score, bool& exists) {
        std::vector<bool> ends(static_cast<std::size_t>(slack_ + 1), false);
        ends[0] = true;
        for (std::int64_t n = 0; n < score.rows; ++n) {
            bool stays = false;
            for (std::int64_t f = 0; f <= slack_; ++f) {
                const T here = score.data[n * score.row_stride + (n + f) * score.column_stride];
                stays = (stays || ends[static_cast<std::size_t>(f)]) && here > -kInfinity;
                ends[static_cast<std::size_t>(f)] = stays;
            }
            if (!pacer_.proceed(slack_ + 1)) return false;
        }
        exists = ends.back();
        return true;
    }

    const MonotonicKernels<T>& kernels_;
    Pacer pacer_;
    std::int64_t slack_ = 0;  // frames more than tokens
    Buffer<StripBits> moved_;
    Buffer<double> before_, best_;
    std::vector<Strip<T>> strips_;
};

}  // namespace

template <class T>
Run align_monotonically(const MonotonicKernels<T>& kernels, const Ragged& scores, int threads, double work_per_thread,
                        Pulse& pulse, std::vector<Monotonic>& results) {
    return run_batch(
        scores.count, scores.elements(), threads, work_per_thread, pulse, [&] { return Aligner<T>(kernels, pulse); },
        [&](Aligner<T>& aligner, std::int64_t p, std::int64_t) {
            return aligner.solve(scores.at<T>(p), results[static_cast<std::size_t>(p)]) ? p + 1 : p;
        });
}

template Run align_monotonically<float>(const MonotonicKernels<float>&, const Ragged&, int, double, Pulse&,
                                        std::vector<Monotonic>&);
template Run align_monotonically<double>(const MonotonicKernels<double>&, const Ragged&, int, double, Pulse&,
                                         std::vector<Monotonic>&);

}  // namespace coalign::ctc
