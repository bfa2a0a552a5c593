// Prefix beam search: the most probable labellings of a recording, each with the probability of all its alignments
// (A. Graves, Supervised Sequence Labelling with Recurrent Neural Networks, section 7.5; A. Hannun et al., First-Pass
// Large Vocabulary Continuous Speech Recognition using Bi-Directional Recurrent DNNs).
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "core/batch_run.hpp"
#include "core/buffer.hpp"
#include "core/ragged.hpp"
#include "core/status.hpp"
#include "ctc/beam_kernels.hpp"
#include "ctc/language_model.hpp"
#include "ctc/pair_table.hpp"
#include "ctc/problem.hpp"

namespace coalign::ctc {

// Work is counted in values, and a prefix in a frame counts as 64. Below this much a thread does not repay its start.
inline constexpr double kBeamWorkPerThread = 1e5;

inline double beam_work(const Ragged& frames, std::int64_t width) {
    const double columns = frames.count > 0 ? static_cast<double>(frames.columns_of(0)) : 1;
    return frames.elements() * (1 + 64 * static_cast<double>(width) / columns);
}

struct BeamOptions {
    std::int64_t width = 1, best = 1;
    // A prefix whose score is further below the best one's is dropped.
    double threshold = std::numeric_limits<double>::infinity();
    // Symbols below it count as impossible in a frame, but for the best one.
    double least_symbol = -std::numeric_limits<double>::infinity();
    std::int64_t blank = 0;
    bool is_logits = true;
    // alpha times the model's score, and beta for each label.
    double alpha = 0, beta = 0;
    LanguageModel* model = nullptr;
};

// The labellings of one recording, best first: their labels one after the other, with the frames [start, stop) of each
// on the best path and the mean log-score there.
struct Labellings {
    std::vector<std::int64_t> label, start, stop;
    std::vector<double> score;
    // Of each labelling: how many labels, the log-probability of the frames, and with the language model.
    std::vector<std::int64_t> length;
    std::vector<double> acoustic, total;
    Status status = Status::ok;  // infeasible: no labelling is possible; nan: value number `bad`, t * C + c
    std::int64_t bad = 0;
};

// A search in progress. All of its memory is kept for the next recording.
template <class T>
class BeamSearch {
   public:
    BeamSearch(const BeamKernels<T>& kernels, const BeamOptions& options, std::int64_t columns);
    BeamSearch(const BeamSearch&) = delete;
    BeamSearch& operator=(const BeamSearch&) = delete;
    ~BeamSearch() { forget(); }

    // Begins a recording.
    void begin();
    enum class Read { whole, bad, stopped };
    // Goes on with more of its frames. Where a value is bad, `bad` becomes its number among these.
    Read read(const MatrixView<T>& frames, Pacer& pacer, std::int64_t& bad);
    // The labellings so far; the search may go on. False when the call is to stop.
    bool find_best(Labellings& out, Pacer& pacer);

   private:
    // The best alignment of a prefix that ends in one way: its last label's frames so far, and those before.
    struct Path {
        double score, sum;
        std::int64_t start, stop;
        std::int32_t before;
    };
    // A prefix in the beam.
    struct Entry {
        std::int32_t node;
        std::int32_t label;  // the last one; -1 of the empty prefix
        double model;        // what the language model adds to the score
        Path by_blank, by_label;
    };
    struct Node {
        std::int32_t parent, label;
        std::int32_t slot;  // in the beam, or -1
        double model;
        LanguageModel::State state;
    };
    struct Span {
        double sum;
        std::int64_t start, stop;
        std::int32_t before;
    };
    // A prefix that may be in the next beam: entry `from`, by itself (label -1) or with one more label.
    struct Candidate {
        double score, mass;
        std::int32_t from, label;
    };
    struct Symbol {
        double score;
        std::int32_t label;
    };

    // The masses of two beams, which take turns.
    struct Masses {
        Buffer<double> room;
        BeamMass at{};
        void reserve(std::int64_t width) {
            double* const all = room.reserve(3 * width);
            at = {all, all + width, all + 2 * width};
        }
    };

    void forget();
    // These throw when the call is to stop; the search is then of no more use.
    void step(double* scores, Pacer& pacer);
    double collect_stays(const double* scores, Pacer& pacer);
    void collect_extensions(const double* scores, double least, Pacer& pacer);
    void collect_with_model(const double* scores, double least, Pacer& pacer);
    void keep_best(Pacer& pacer);
    void enter(const double* scores, Pacer& pacer);
    void drop_dead_nodes(Pacer& pacer);
    void drop_dead_spans(Pacer& pacer);
    void tell_best(Labellings& out, Pacer& pacer) const;
    Entry stayed(const Entry& entry, const double* scores);
    Entry extended(const Entry& entry, std::int32_t label, double score);
    bool mark_children(std::int64_t entry, std::int32_t mark);
    // What is impossible stays so, whatever its weight.
    double weighted(double score) const {
        return score > -std::numeric_limits<double>::infinity() ? options_.alpha * score : score;
    }
    Node grown(std::int32_t parent, std::int32_t label) const;
    std::int32_t child(std::int32_t parent, std::int32_t label);
    std::int32_t add_span(const Entry& entry, const Path& path);
    static bool is_before(const Candidate& a, const Candidate& b);
    static bool is_better(const Symbol& a, const Symbol& b);
    static const Path& better(const Entry& entry);

    const BeamKernels<T>& kernels_;
    const BeamOptions options_;
    const std::int64_t columns_;
    std::int64_t frame_ = 0, count_ = 0;
    std::vector<Entry> entries_, next_entries_;
    Masses now_, next_;
    Buffer<double> row_, entering_, label_score_;
    Buffer<std::int32_t> above_;
    std::vector<std::int32_t> child_of_;  // by label: the entry whose child with that label is in the beam
    std::vector<std::int32_t> first_child_, next_child_;
    std::vector<Symbol> symbols_;
    std::vector<Candidate> candidates_;
    std::vector<Node> nodes_;
    PairTable table_;  // of nodes, by parent and label
    std::vector<Span> spans_;
    std::vector<std::int32_t> moved_;
    std::size_t most_nodes_ = 0, most_spans_ = 0;
};

// Of the batch, `frames` are read; each item has as many columns.
template <class T>
Run search_beams(const BeamKernels<T>& kernels, const Ragged& frames, const BeamOptions& options, int threads,
                 double work_per_thread, Pulse& pulse, std::vector<Labellings>& out);

}  // namespace coalign::ctc
