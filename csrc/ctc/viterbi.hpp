// Forced alignment: the best path of a text through its recording.
#pragma once

#include <cstdint>
#include <optional>

#include "core/batch_run.hpp"
#include "core/status.hpp"
#include "ctc/problem.hpp"
#include "ctc/viterbi_kernels.hpp"

namespace coalign::ctc {

// Below this many cells (labels times frames, and values) a thread does not repay its start.
inline constexpr double kAlignWorkPerThread = 1e5;
// A lattice whose directions take more memory than this is gone through twice: once for checkpoints, then piece by
// piece along the path.
inline constexpr std::int64_t kAlignCheckpointBytes = std::int64_t{1} << 26;

struct AlignOptions {
    // A label outside of [0, C) that stands for any symbols but the blank.
    std::optional<std::int64_t> wildcard;
    // Frames before, or after, the text may be anything.
    bool open_begin = false, open_end = false;
    int threads = 1;
    std::int64_t checkpoint_bytes = kAlignCheckpointBytes;
};

// What a call writes for one of its problems.
template <class T>
struct Alignment {
    std::int64_t* symbols;  // of each frame
    T* frame_scores;
    std::int64_t *starts, *stops;  // the frames of each label
    T *token_scores, *confidence;
};

template <class T>
struct Alignments {
    const Alignment<T>* each;
    double* total;
    Status* status;     // ok, infeasible (then all frames and labels are -1 and 0), precision_limit, or nan:
    std::int64_t* bad;  // value number bad[p] of the frames (t * C + c) is NaN or +inf
};

template <class T>
Run align(const ViterbiKernels<T>& kernels, const Batch& batch, const AlignOptions& options, double work_per_thread,
          Pulse& pulse, const Alignments<T>& out);

}  // namespace coalign::ctc
