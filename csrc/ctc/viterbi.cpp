#include "ctc/viterbi.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "core/buffer.hpp"

namespace coalign::ctc {
namespace {

constexpr double kNever = -std::numeric_limits<double>::infinity();

std::int64_t ceil_div(std::int64_t a, std::int64_t b) {
    return (a + b - 1) / b;
}

// A sum whose error does not grow with the number of terms (Neumaier).
class Sum {
   public:
    void add(double x) {
        const double next = sum_ + x;
        lost_ += std::abs(sum_) >= std::abs(x) ? (sum_ - next) + x : (x - next) + sum_;
        sum_ = next;
    }
    double total() const { return sum_ + lost_; }

   private:
    double sum_ = 0, lost_ = 0;
};

// A state of the lattice: a label, or the blank before it.
struct State {
    std::int64_t lane;
    bool is_label;
};

// Lane groups [first, last).
struct Groups {
    std::int64_t first, last;
    std::int64_t count() const { return last - first; }
};

template <class T>
class Viterbi {
   public:
    Viterbi(const ViterbiKernels<T>& kernels, const Batch& batch, const AlignOptions& options, Pulse& pulse)
        : kernels_(kernels), batch_(batch), options_(options), pacer_(pulse) {}

    // False when the call was stopped.
    bool solve(std::int64_t p, const Alignments<T>& out) {
        frames_ = batch_.frames.at<T>(p);
        text_ = batch_.labels(p);
        out_ = out.each[p];
        out.total[p] = kNever;
        out.status[p] = Status::infeasible;
        prepare_symbols();
        const bool fits = frames_.rows >= text_.length + prepare_lanes();
        if (!fits) return read_all() && report_bad(p, out) && clear();
        if (!search()) return false;
        if (is_bad_) return report_bad(p, out) && clear();
        if (!is_feasible_) return clear();
        return write(out.total[p], out.status[p]);
    }

   private:
    std::int64_t length() const { return frames_.rows; }
    std::int64_t last_lane() const { return text_.length; }
    bool is_wildcard(std::int64_t label) const { return options_.wildcard == label; }

    // Numbers the symbols of the text in the order in which they come.
    void prepare_symbols() {
        const std::int64_t columns = frames_.columns;
        if (row_of_.data() == nullptr) std::fill_n(row_of_.reserve(columns), columns, 0);
        std::int32_t* const row_of = row_of_.data();
        std::int64_t* const symbols = symbols_.reserve(std::min(columns, text_.length));
        symbol_count_ = 0;
        has_wildcard_ = false;
        for (std::int64_t i = 0; i < text_.length; ++i) {
            const std::int64_t label = text_.at[i];
            if (is_wildcard(label)) has_wildcard_ = true;
            else if (row_of[label] == 0) {
                row_of[label] = static_cast<std::int32_t>(kFirstSymbolRow + symbol_count_);
                symbols[symbol_count_++] = label;
            }
        }
        table_.reserve((kFirstSymbolRow + symbol_count_) * kBlock);
        log_sum_.reserve(batch_.input == Input::logits ? length() : 0);
    }

    // The text in lanes; how many of its labels follow one like them.
    std::int64_t prepare_lanes() {
        group_count_ = ceil_div(text_.length + 1, kernels_.group);
        const std::int64_t lanes = group_count_ * kernels_.group;
        double* const skip = skip_.reserve(lanes);
        std::int32_t* const row = row_.reserve(lanes);
        std::int64_t repeats = 0;
        for (std::int64_t i = 0; i < text_.length; ++i) {
            const std::int64_t label = text_.at[i];
            const bool repeats_last = i > 0 && label == text_.at[i - 1];
            repeats += repeats_last ? 1 : 0;
            skip[i] = repeats_last || i == 0 ? kNever : 0;
            row[i] = is_wildcard(label) ? kBestLabelRow : row_of_.data()[label];
        }
        std::fill(skip + text_.length, skip + lanes, kNever);
        std::fill(row + text_.length, row + lanes, kNeverRow);
        for (std::int64_t s = 0; s < symbol_count_; ++s) row_of_.data()[symbols_.data()[s]] = 0;
        blank_.reserve(lanes);
        label_.reserve(lanes);
        return repeats;
    }

    // The emissions of a block of frames; false where a value is not finite.
    bool read(std::int64_t begin, int frames, bool is_first) {
        const bool any = options_.open_begin || options_.open_end;
        double* const log_sum = is_first && batch_.input == Input::logits ? log_sum_.data() + begin : nullptr;
        return kernels_.emissions({frames_.data + begin * frames_.row_stride, frames_.row_stride, frames_.columns,
                                   frames, batch_.blank, symbols_.data(), symbol_count_, has_wildcard_, any, log_sum,
                                   table_.data()});
    }
    int block_frames(std::int64_t begin, std::int64_t end) const {
        return static_cast<int>(std::min<std::int64_t>(kBlock, end - begin));
    }
    // Vector steps of a block, for the pacer.
    std::int64_t steps(const Groups& groups) const {
        return kBlock * (symbol_count_ + frames_.columns + 16 * groups.count());
    }

    // Only looks for values that are not finite.
    bool read_all() {
        is_bad_ = false;
        for (std::int64_t t = 0; t < length() && !is_bad_; t += kBlock) {
            is_bad_ = !read(t, block_frames(t, length()), true);
            if (!pacer_.proceed(steps({0, 0}))) return false;
        }
        return true;
    }

    // Groups of the lanes that a path may be in at a block of frames, or the frame before it, on its way from the
    // beginning of the text to its end; of those between two lanes.
    Groups groups_at(std::int64_t begin, std::int64_t end, std::int64_t least, std::int64_t most) const {
        const std::int64_t from = std::max(least, text_.length - length() + begin - 1);
        const std::int64_t to = std::min({text_.length, end - 1, most});
        return {std::max<std::int64_t>(from, 0) / kernels_.group, to / kernels_.group + 1};
    }
    std::int64_t bytes_of(const Groups& groups) const { return groups.count() * kBlock * 3 * (kernels_.group / 8); }
    double* blank() { return blank_.data(); }
    double* label() { return label_.data(); }

    // Before the first frame: the blank before the text has been there for ever.
    void begin_lanes(const Groups& groups) {
        const std::int64_t first = groups.first * kernels_.group, last = groups.last * kernels_.group;
        std::fill(blank() + first, blank() + last, kNever);
        std::fill(label() + first, label() + last, kNever);
        if (first == 0) blank()[0] = 0;
    }

    // Brings the lanes over frames [begin, end), those between two lanes; `from` takes the directions.
    bool advance(std::int64_t begin, std::int64_t end, std::int64_t least, std::int64_t most, bool is_first,
                 std::uint8_t* from) {
        for (std::int64_t t = begin; t < end; t += kBlock) {
            const int frames = block_frames(t, end);
            if (!read(t, frames, is_first)) {
                is_bad_ = true;
                return true;
            }
            const Groups groups = groups_at(t, t + frames, least, most);
            kernels_.lattice({blank(), label(), skip_.data(), row_.data(), table_.data(), frames, groups.first,
                              groups.last, options_.open_begin ? 0 : -1, options_.open_end ? last_lane() : -1, from});
            if (from != nullptr) from += bytes_of(groups);
            if (!pacer_.proceed(steps(groups))) return false;
        }
        return true;
    }

    // How many bytes the directions of these frames take.
    std::int64_t direction_bytes(std::int64_t begin, std::int64_t end, std::int64_t least, std::int64_t most) const {
        std::int64_t bytes = 0;
        for (std::int64_t t = begin; t < end; t += kBlock)
            bytes += bytes_of(groups_at(t, std::min(t + kBlock, end), least, most));
        return bytes;
    }

    // Finds the path, as the state of each frame in `path_`; false when the call was stopped.
    bool search() {
        is_bad_ = is_feasible_ = false;
        std::int64_t* const path = path_.reserve(length());
        const std::int64_t whole = direction_bytes(0, length(), 0, last_lane());
        std::int64_t piece = std::max<std::int64_t>(length(), 1);
        if (whole > options_.checkpoint_bytes) {
            // Checkpoints take 16 L T / piece bytes, the directions of one piece 3/8 piece^2: about equal.
            const double cells = static_cast<double>(text_.length + 1) * static_cast<double>(length());
            piece = ceil_div(static_cast<std::int64_t>(std::cbrt(16 * cells / 0.75)) + 1, kBlock) * kBlock;
        }
        const std::int64_t pieces = std::max<std::int64_t>(ceil_div(length(), piece), 1);
        std::uint8_t* from = pieces == 1 ? directions_.reserve(whole) : nullptr;
        begin_lanes({0, group_count_});
        std::int64_t room = 0;
        const auto saved = [&](std::int64_t number) {
            const std::int64_t begin = number * piece;
            return groups_at(begin, std::min(begin + kBlock, length()), 0, last_lane());
        };
        for (std::int64_t number = 1; number < pieces; ++number) room += 2 * saved(number).count() * kernels_.group;
        double* at = checkpoints_.reserve(room);
        for (std::int64_t number = 0; number < pieces; ++number) {
            if (number > 0) {
                const Groups kept = saved(number);
                const std::int64_t first = kept.first * kernels_.group, count = kept.count() * kernels_.group;
                at = std::copy_n(blank() + first, count, at);
                at = std::copy_n(label() + first, count, at);
            }
            const std::int64_t begin = number * piece;
            if (!advance(begin, std::min(begin + piece, length()), 0, last_lane(), true, from)) return false;
            if (is_bad_) return true;
        }
        State state{last_lane(), false};
        double best = blank()[state.lane];
        if (state.lane > 0 && label()[state.lane - 1] >= best) {
            state = {state.lane - 1, true};
            best = label()[state.lane];
        }
        is_feasible_ = best > kNever;
        if (!is_feasible_) return true;
        if (pieces == 1) {
            trace(0, length(), 0, last_lane(), state, path);
            return true;
        }
        for (std::int64_t number = pieces - 1; number >= 0; --number) {
            const std::int64_t begin = number * piece, end = std::min(begin + piece, length());
            // A path moves up by a lane a frame at most, so lanes further down do not reach this one.
            const std::int64_t most = state.lane, least = std::max<std::int64_t>(most - (end - begin), 0);
            const Groups lanes{least / kernels_.group, most / kernels_.group + 1};
            begin_lanes(lanes);
            if (number > 0) {
                const Groups kept = saved(number);
                const std::int64_t count = kept.count() * kernels_.group;
                at -= 2 * count;
                const std::int64_t first = std::max(kept.first, lanes.first) * kernels_.group;
                const std::int64_t last = std::min(kept.last, lanes.last) * kernels_.group;
                if (lanes.first == 0) blank()[0] = kNever;
                const double* const source = at + (first - kept.first * kernels_.group);
                std::copy_n(source, std::max<std::int64_t>(last - first, 0), blank() + first);
                std::copy_n(source + count, std::max<std::int64_t>(last - first, 0), label() + first);
            }
            std::uint8_t* const written = directions_.reserve(direction_bytes(begin, end, least, most));
            if (!advance(begin, end, least, most, false, written)) return false;
            trace(begin, end, least, most, state, path);
        }
        return true;
    }

    // Follows the directions of frames [begin, end) back from a state at the last of them to the one before the first.
    void trace(std::int64_t begin, std::int64_t end, std::int64_t least, std::int64_t most, State& state,
               std::int64_t* path) {
        const std::uint8_t* from = directions_.data() + direction_bytes(begin, end, least, most);
        const std::int64_t last_block = begin + (std::max<std::int64_t>(end - begin, 1) - 1) / kBlock * kBlock;
        for (std::int64_t block = last_block; block >= begin && end > begin; block -= kBlock) {
            const std::int64_t stop = std::min(block + kBlock, end);
            const Groups groups = groups_at(block, stop, least, most);
            from -= bytes_of(groups);
            for (std::int64_t t = stop - 1; t >= block; --t) {
                path[t] = 2 * state.lane + (state.is_label ? 1 : 0);
                const std::int64_t group = state.lane / kernels_.group, lane = state.lane % kernels_.group;
                const std::int64_t word = ((group - groups.first) * kBlock + (t - block)) * 3;
                const auto is_set = [&](std::int64_t which) {
                    return (from[(word + which) * (kernels_.group / 8) + lane / 8] >> (lane % 8) & 1) != 0;
                };
                if (!state.is_label) {
                    if (is_set(0)) state = {state.lane - 1, true};
                } else if (is_set(2)) {
                    --state.lane;
                } else if (is_set(1)) {
                    state.is_label = false;
                }
            }
        }
    }

    // The column of the highest score of a frame, the first of equals; without the blank, if so wanted.
    std::int64_t best_symbol(const T* row, bool with_blank) const {
        std::int64_t best = -1;
        for (std::int64_t c = 0; c < frames_.columns; ++c)
            if ((with_blank || c != batch_.blank) && (best < 0 || row[c] > row[best])) best = c;
        return best;
    }

    // Whether a state takes more than one symbol.
    bool takes_any(const State& state) const {
        if (state.is_label) return is_wildcard(text_.at[state.lane]);
        return (state.lane == 0 && options_.open_begin) || (state.lane == last_lane() && options_.open_end);
    }
    std::int64_t symbol_of(const State& state, const T* row) const {
        if (takes_any(state)) return best_symbol(row, !state.is_label);
        return state.is_label ? text_.at[state.lane] : batch_.blank;
    }

    // Scores the path anew, along the values themselves.
    bool write(double& total, Status& status) {
        const std::int64_t* const path = path_.data();
        Sum sum, token;
        const auto is_held = [](T score) { return std::abs(score) <= std::numeric_limits<T>::max(); };
        bool fits = true;
        for (std::int64_t t = 0; t < length(); ++t) {
            const State state{path[t] / 2, path[t] % 2 != 0};
            const T* const row = frames_.data + t * frames_.row_stride;
            const std::int64_t symbol = symbol_of(state, row);
            double score = std::max(static_cast<double>(row[symbol]), kLeastScore);
            fits &= static_cast<double>(row[symbol]) >= kLeastScore;
            if (batch_.input == Input::logits) score -= log_sum_.data()[t];
            out_.symbols[t] = symbol;
            out_.frame_scores[t] = static_cast<T>(score);
            fits &= is_held(out_.frame_scores[t]);
            sum.add(score);
            if (!pacer_.proceed(takes_any(state) ? frames_.columns : 1)) return false;
            if (!state.is_label) continue;
            if (t == 0 || path[t - 1] != path[t]) {
                out_.starts[state.lane] = t;
                token = Sum();
            }
            token.add(score);
            const std::int64_t stop = t + 1;
            if (stop < length() && path[stop] == path[t]) continue;
            out_.stops[state.lane] = stop;
            out_.token_scores[state.lane] = static_cast<T>(token.total());
            fits &= is_held(out_.token_scores[state.lane]);
            const auto many = static_cast<double>(stop - out_.starts[state.lane]);
            out_.confidence[state.lane] = static_cast<T>(std::exp(token.total() / many));
        }
        total = sum.total();
        fits &= std::abs(total) <= std::numeric_limits<double>::max();
        status = fits ? Status::ok : Status::precision_limit;
        return true;
    }

    // What a problem without a path says.
    bool clear() {
        std::fill_n(out_.symbols, length(), std::int64_t{-1});
        std::fill_n(out_.frame_scores, length(), T(0));
        std::fill_n(out_.starts, text_.length, std::int64_t{-1});
        std::fill_n(out_.stops, text_.length, std::int64_t{-1});
        std::fill_n(out_.token_scores, text_.length, T(0));
        std::fill_n(out_.confidence, text_.length, T(0));
        return true;
    }

    // Looks up the first value that is not finite, of those that are read.
    bool report_bad(std::int64_t p, const Alignments<T>& out) {
        if (!is_bad_) return true;
        const bool all = batch_.input == Input::logits || has_wildcard_ || options_.open_begin || options_.open_end;
        out.status[p] = Status::nan;
        out.bad[p] = -1;
        const auto is_read = [&](std::int64_t c) {
            const std::int64_t* const symbols = symbols_.data();
            return all || c == batch_.blank ||
                   std::find(symbols, symbols + symbol_count_, c) != symbols + symbol_count_;
        };
        for (std::int64_t t = 0; t < length() && out.bad[p] < 0; ++t) {
            const T* const row = frames_.data + t * frames_.row_stride;
            for (std::int64_t c = 0; c < frames_.columns && out.bad[p] < 0; ++c)
                if (!(row[c] <= std::numeric_limits<T>::max()) && is_read(c)) out.bad[p] = t * frames_.columns + c;
            if (!pacer_.proceed(frames_.columns)) return false;
        }
        return true;
    }

    const ViterbiKernels<T>& kernels_;
    const Batch& batch_;
    const AlignOptions& options_;
    Pacer pacer_;

    // The problem at hand.
    MatrixView<T> frames_{};
    Labels text_{};
    Alignment<T> out_{};
    std::int64_t symbol_count_ = 0, group_count_ = 0;
    bool has_wildcard_ = false, is_bad_ = false, is_feasible_ = false;

    Buffer<std::int32_t> row_of_;  // the row of the table of each symbol of the text, else 0
    Buffer<std::int64_t> symbols_;
    Buffer<double> table_, log_sum_;
    // By lane.
    Buffer<double> skip_, blank_, label_;
    Buffer<std::int32_t> row_;
    Buffer<std::uint8_t> directions_;
    Buffer<double> checkpoints_;
    Buffer<std::int64_t> path_;  // twice the lane of each frame, and 1 for a label
};

}  // namespace

template <class T>
Run align(const ViterbiKernels<T>& kernels, const Batch& batch, const AlignOptions& options, double work_per_thread,
          Pulse& pulse, const Alignments<T>& out) {
    double work = batch.frames.elements();
    for (std::int64_t p = 0; p < batch.count(); ++p)
        work += static_cast<double>(batch.frames.rows_of(p)) * static_cast<double>(batch.targets.rows_of(p) + 1);
    return run_batch(
        batch.count(), work, options.threads, work_per_thread, pulse,
        [&] { return Viterbi<T>(kernels, batch, options, pulse); },
        [&](Viterbi<T>& viterbi, std::int64_t p, std::int64_t) { return viterbi.solve(p, out) ? p + 1 : p; });
}

template Run align<float>(const ViterbiKernels<float>&, const Batch&, const AlignOptions&, double, Pulse&,
                          const Alignments<float>&);
template Run align<double>(const ViterbiKernels<double>&, const Batch&, const AlignOptions&, double, Pulse&,
                           const Alignments<double>&);

}  // namespace coalign::ctc
