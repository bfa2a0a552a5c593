// The best path of a text through its recording. Scores, their sums, and which of equal paths is taken, are those of
// csrc/ctc/viterbi.cpp: states are sums of float64, less the best that a frame's states can score.
//
// A lane takes a label and the blank before it; a last lane has the blank after the text. A block takes a problem, and
// its warps take groups of 32 lanes by turns, frame by frame. Of a frame, a group leaves three ballots: which blanks
// come from the label before, which labels from their blank, and which from the label before.
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>

#include "core/arena.hpp"
#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "core/launch.cuh"
#include "core/status.hpp"
#include "ctc_batch.cuh"
#include "viterbi.hpp"

namespace coalign::cuda {
namespace {

constexpr unsigned kThreads = 256;
constexpr std::int64_t kRowsPerBlock = kThreads / kWarp;
// Frames of more symbols are read by a block each, others by a warp.
constexpr std::int64_t kMostByWarp = 1024;
// The host's compiler reads no launch bounds.
[[maybe_unused]] constexpr unsigned kMostSearchingWarps = ViterbiLimits{}.warps;
constexpr std::int64_t kBallots = 3;
// Lower scores count as this much, so that sums of them stay finite; -inf stays what it is.
constexpr double kLeastScore = -1e300;
// In the place of a column: what never happens, and the best symbol but the blank.
constexpr std::int64_t kNever = -1, kBestLabel = -2;
constexpr int kNoColumn = std::numeric_limits<int>::max();

struct Frame {
    double most;           // the best score that a path may take; NaN where a score that is read is NaN or +inf
    double log_sum;        // of logits, else 0
    int best_label, best;  // the first of the best columns without the blank, and of all; -1 where there is none
};

// The memory of a launch.
struct Room {
    Frame* frames;
    std::int64_t* paths;
    double *scores, *checkpoints;
    unsigned* directions;
};

template <class T>
struct Problem {
    std::int64_t frames, labels, columns, row_stride, column_stride;
    const T* x;
    const std::int64_t* label;
    Frame* frame;
    std::int64_t* path;  // of each frame twice its lane, and 1 for a label

    __device__ double score(std::int64_t t, std::int64_t c) const {
        const auto score = static_cast<double>(x[t * row_stride + c * column_stride]);
        return score > -kInfinity<double> ? greater(score, kLeastScore) : score;
    }
    // Whether a score is one that score() raises.
    __device__ bool is_raised(std::int64_t t, std::int64_t c) const {
        return static_cast<double>(x[t * row_stride + c * column_stride]) < kLeastScore;
    }
    // Whether a label follows one like it, so that a blank has to part them.
    __device__ bool repeats(std::int64_t i) const { return i > 0 && label[i] == label[i - 1]; }
};

template <class T>
__device__ Problem<T> problem_at(const ViterbiCall& call, const ViterbiPlan& plan, const Room& room, std::int64_t p,
                                 std::int64_t place) {
    return {call.frame_counts[p],          call.label_counts[p],  call.frames.columns, call.frames.row_stride,
            call.frames.column_stride,     scores_of<T>(call, p), call.label_items[p], room.frames + place * plan.rows,
            room.paths + place * plan.rows};
}

__device__ bool has_status(const ViterbiCall& call, std::int64_t p, Status status) {
    return call.status[p] == static_cast<std::int32_t>(status);
}
__device__ bool is_wildcard(const ViterbiCall& call, std::int64_t label) {
    return call.has_wildcard && label == call.wildcard;
}

// Says which texts are invalid, and which have too many labels.
template <class T>
__global__ void __launch_bounds__(kThreads) check_texts(const ViterbiCall call, std::int64_t first) {
    const FrameTeam<true> team;
    const std::int64_t p = first + blockIdx.x;
    Status status = Status::invalid;
    if (is_valid(call, p, team, call.has_wildcard ? &call.wildcard : nullptr)) {
        const std::int64_t labels = call.label_counts[p];
        const std::int64_t* const label = call.label_items[p];
        // float64 counts them, as a block sums it.
        double repeats = 0;
        for (std::int64_t i = team.rank() + 1; i < labels; i += team.size())
            repeats += label[i] == label[i - 1] ? 1 : 0;
        const auto least = labels + static_cast<std::int64_t>(team.sum(repeats));
        status = call.frame_counts[p] >= least ? Status::ok : Status::infeasible;
    }
    if (team.rank() == 0) call.status[p] = static_cast<std::int32_t>(status);
}

// The best of some columns of a frame, of all threads of a team; the first of equals.
struct Best {
    double score = -kInfinity<double>;
    int column = kNoColumn;

    __device__ void take(double other, std::int64_t c) {
        if (!(other > score)) return;
        score = other;
        column = static_cast<int>(c);
    }
    template <class Team>
    __device__ void join(const Team& team) {
        const double most = team.most(score);
        column = team.least(score == most ? column : kNoColumn);
        score = most;
        if (!(score > -kInfinity<double>)) column = -1;
    }
};

template <class T, class Team>
__device__ void read_frame(const ViterbiCall& call, const Problem<T>& of, std::int64_t t, const Team& team) {
    int good = 1, no_wildcard = 1;
    double most = -kInfinity<double>;
    const auto read = [&](std::int64_t c) {
        const double score = of.score(t, c);
        if (!(score < kInfinity<double>)) good = 0;
        return score;
    };
    for (std::int64_t i = team.rank(); i <= of.labels; i += team.size()) {
        const std::int64_t symbol = i < of.labels ? of.label[i] : call.blank;
        if (is_wildcard(call, symbol)) no_wildcard = 0;
        else most = greater(most, read(symbol));
    }
    const bool has_wildcard = team.least(no_wildcard) == 0, is_open = call.open_begin || call.open_end;
    const bool are_logits = call.input == ctc::Input::logits;
    Best label, any;
    double log_sum = 0;
    if (are_logits || has_wildcard || is_open) {
        for (std::int64_t c = team.rank(); c < of.columns; c += team.size()) {
            const double score = read(c);
            any.take(score, c);
            if (c != call.blank) label.take(score, c);
        }
        label.join(team);
        any.join(team);
        if (has_wildcard) most = greater(most, label.score);
        if (is_open) most = greater(most, any.score);
    }
    most = team.most(most);
    if (are_logits && any.column >= 0) {
        double sum = 0;
        for (std::int64_t c = team.rank(); c < of.columns; c += team.size()) sum += exp(of.score(t, c) - any.score);
        log_sum = any.score + log(team.sum(sum));
    }
    good = team.least(good);
    if (!(most > -kInfinity<double>)) most = 0;
    if (team.rank() == 0) of.frame[t] = {good != 0 ? most : kNaN<double>, log_sum, label.column, any.column};
}

// A warp or a block for each frame.
template <class T, bool kBlock>
__global__ void __launch_bounds__(kThreads)
    read_emissions(const ViterbiCall call, const ViterbiPlan plan, const Room room, std::int64_t first,
                   std::int64_t blocks_each) {
    const std::int64_t place = blockIdx.x / blocks_each, at = blockIdx.x % blocks_each, p = first + place;
    const std::int64_t t = kBlock ? at : at * kRowsPerBlock + threadIdx.x / kWarp;
    if (has_status(call, p, Status::invalid) || t >= call.frame_counts[p]) return;
    read_frame(call, problem_at<T>(call, plan, room, p, place), t, FrameTeam<kBlock>());
}

// The best scores of the paths to each lane, and the label scores of the last lane of each group, of the last frame and
// the one before it, by turns.
struct Scores {
    double *blank, *label, *edge;
};

__host__ __device__ constexpr std::int64_t scores_of_groups(std::int64_t groups) {
    return (2 * static_cast<std::int64_t>(kWarp) + 2) * groups;
}
// What a block shares: the slots of its team, the state of the path, and scores.
constexpr std::size_t kScoresAt = FrameTeam<true>::kSharedBytes + 16;
static_assert(kScoresAt + scores_of_groups(ViterbiLimits{}.shared_groups) * sizeof(double) <= 48 * 1024);

template <class T>
class Search {
   public:
    // `groups` of the text, `warps` that take them by turns.
    __device__ Search(const ViterbiCall& call, const Problem<T>& of, const Scores& scores, std::int64_t groups,
                      std::int64_t warps)
        : call_(call), of_(of), scores_(scores), groups_(groups), warps_(warps) {}

    // Before the first frame: the blank before the text has been there for ever.
    __device__ void begin() const {
        for (std::int64_t group = warp(); group < groups_; group += warps_) {
            const std::int64_t i = group * kWarp + lane();
            scores_.blank[i] = i == 0 ? 0 : -kInfinity<double>;
            scores_.label[i] = -kInfinity<double>;
            if (lane() < 2) scores_.edge[lane() * groups_ + group] = -kInfinity<double>;
        }
        __syncthreads();
    }
    __device__ void save(double* to) const {
        for (std::int64_t i = warp() * kWarp + lane(); i < groups_ * kWarp; i += warps_ * kWarp) {
            to[i] = scores_.blank[i];
            to[groups_ * kWarp + i] = scores_.label[i];
        }
    }
    // What was saved before frame t.
    __device__ void restore(const double* from, std::int64_t t) const {
        for (std::int64_t i = warp() * kWarp + lane(); i < groups_ * kWarp; i += warps_ * kWarp) {
            scores_.blank[i] = from[i];
            const double label = scores_.label[i] = from[groups_ * kWarp + i];
            if (lane() == kWarp - 1) scores_.edge[t % 2 * groups_ + i / kWarp] = label;
        }
        __syncthreads();
    }

    // Brings the lanes from `lowest` to `highest` over frames [begin, end), and writes the ballots, if they have a
    // place. Lanes that cannot be reached yet, or from which the end of the text cannot be reached, are left out; what
    // is left over in the latter reaches none of the others.
    __device__ void advance(std::int64_t begin, std::int64_t end, std::int64_t lowest, std::int64_t highest,
                            unsigned* from) const {
        const Lane own = lane_at(warp() * kWarp + lane());
        std::int64_t first = warp();
        double ahead = begin < end ? emission(begin, own.column) : 0;
        for (std::int64_t t = begin; t < end; ++t) {
            // Read a frame early, so that it is there when its turn comes.
            const double mine = ahead;
            if (t + 1 < end) ahead = emission(t + 1, own.column);
            const double silence = emission(t, call_.blank);
            const double any = call_.open_begin || call_.open_end ? emission(t, of_.frame[t].best) : 0;
            const std::int64_t first_lane = larger(larger(of_.labels - of_.frames + t, lowest), 0);
            const std::int64_t last = smaller(smaller(of_.labels, t), highest) / kWarp;
            while (first < first_lane / kWarp) first += warps_;
#pragma unroll 1
            for (std::int64_t group = first; group <= last; group += warps_) {
                const bool is_own = group == warp();
                const std::int64_t i = group * kWarp + lane();
                const Lane at = is_own ? own : lane_at(i);
                const double blank = scores_.blank[i], label = scores_.label[i];
                double before = __shfl_up_sync(kWholeWarp, label, 1);
                if (lane() == 0) before = group > 0 ? scores_.edge[t % 2 * groups_ + group - 1] : -kInfinity<double>;
                const double jump = at.may_skip ? before : -kInfinity<double>, stay = greater(blank, label);
                if (from != nullptr) {
                    // Of equal paths the one that stays with a label longest wins.
                    const unsigned left = __ballot_sync(kWholeWarp, before >= blank);
                    const unsigned entered = __ballot_sync(kWholeWarp, blank > label);
                    const unsigned skipped = __ballot_sync(kWholeWarp, jump > stay);
                    unsigned* const to = from + ((t - begin) * groups_ + group) * kBallots;
                    if (lane() < kBallots) to[lane()] = lane() == 0 ? left : lane() == 1 ? entered : skipped;
                }
                const double next = greater(stay, jump) + (is_own ? mine : emission(t, at.column));
                const bool is_open = (i == 0 && call_.open_begin) || (i == of_.labels && call_.open_end);
                scores_.blank[i] = greater(blank, before) + (is_open ? any : silence);
                scores_.label[i] = next;
                if (lane() == kWarp - 1) scores_.edge[(t + 1) % 2 * groups_ + group] = next;
            }
            __syncthreads();
        }
    }

    // The state that the best path ends in, of equals the label; -1 where there is none.
    __device__ std::int64_t last_state() const {
        const double blank = scores_.blank[of_.labels];
        const double label = of_.labels > 0 ? scores_.label[of_.labels - 1] : -kInfinity<double>;
        if (!(greater(blank, label) > -kInfinity<double>)) return -1;
        return label >= blank ? 2 * of_.labels - 1 : 2 * of_.labels;
    }

    // Writes the path through frames [begin, end), from its state at the last of them back; returns its state before
    // the first. One warp, which looks up 32 frames at a time: these are of one group and the one below it.
    __device__ std::int64_t trace_back(std::int64_t begin, std::int64_t end, const unsigned* from,
                                       std::int64_t state) const {
#pragma unroll 1
        for (std::int64_t last = end - 1; last >= begin; last -= kWarp) {
            const std::int64_t group = state / 2 / kWarp, t = last - lane();
            unsigned here[kBallots] = {}, below[kBallots] = {};
            if (t >= begin) {
                const unsigned* const at = from + ((t - begin) * groups_ + group) * kBallots;
#pragma unroll
                for (int k = 0; k < kBallots; ++k) {
                    here[k] = at[k];
                    if (group > 0) below[k] = at[k - kBallots];
                }
            }
            std::int64_t mine = 0;
#pragma unroll 1
            for (int turn = 0; turn < static_cast<int>(kWarp) && turn <= last - begin; ++turn) {
                if (lane() == turn) mine = state;
                const bool is_below = state / 2 < group * kWarp;
                const auto is_set = [&](int ballot) {
                    const unsigned all = __shfl_sync(kWholeWarp, is_below ? below[ballot] : here[ballot], turn);
                    return (all >> (state / 2 % kWarp) & 1u) != 0;
                };
                const bool left = is_set(0), entered = is_set(1), skipped = is_set(2);
                if (state % 2 == 0) state -= left ? 1 : 0;
                else state -= skipped ? 2 : entered ? 1 : 0;
            }
            if (t >= begin) of_.path[t] = mine;
        }
        return state;
    }

   private:
    struct Lane {
        std::int64_t column;
        bool may_skip;
    };

    __device__ static int lane() { return static_cast<int>(threadIdx.x % kWarp); }
    __device__ static std::int64_t warp() { return threadIdx.x / kWarp; }
    __device__ static std::int64_t larger(std::int64_t a, std::int64_t b) { return a > b ? a : b; }
    __device__ static std::int64_t smaller(std::int64_t a, std::int64_t b) { return a < b ? a : b; }

    __device__ Lane lane_at(std::int64_t i) const {
        if (i >= of_.labels) return {kNever, false};
        const std::int64_t label = of_.label[i];
        return {is_wildcard(call_, label) ? kBestLabel : label, i > 0 && !of_.repeats(i)};
    }
    __device__ double emission(std::int64_t t, std::int64_t column) const {
        const Frame& frame = of_.frame[t];
        if (column == kBestLabel) column = frame.best_label;
        return column < 0 ? -kInfinity<double> : of_.score(t, column) - frame.most;
    }

    const ViterbiCall& call_;
    const Problem<T>& of_;
    Scores scores_;
    std::int64_t groups_, warps_;
};

// A block a problem.
template <class T>
__global__ void __launch_bounds__(kMostSearchingWarps* kWarp, 1)
    search_paths(const ViterbiCall call, const ViterbiPlan plan, const Room room, std::int64_t first) {
    const std::int64_t place = blockIdx.x, p = first + place;
    if (has_status(call, p, Status::invalid)) return;
    const Problem<T> of = problem_at<T>(call, plan, room, p, place);
    const FrameTeam<true> team;
    int good = 1;
    for (std::int64_t t = team.rank(); t < of.frames; t += team.size())
        if (of.frame[t].most != of.frame[t].most) good = 0;
    good = team.least(good);
    const bool fits = has_status(call, p, Status::ok);
    __syncthreads();
    if (good == 0 || !fits) {
        if (good == 0 && threadIdx.x == 0) call.status[p] = static_cast<std::int32_t>(Status::nan);
        return;
    }
    const std::int64_t groups = of.labels / kWarp + 1;
    // A warp beyond the text takes no part in any barrier.
    if (threadIdx.x / kWarp >= groups) return;
    const std::int64_t warps = blockDim.x / kWarp < groups ? blockDim.x / kWarp : groups;

    auto* const shared = shared_memory<unsigned char>();
    auto* const state = reinterpret_cast<std::int64_t*>(shared + FrameTeam<true>::kSharedBytes);
    double* const scores = plan.is_shared ? reinterpret_cast<double*>(shared + kScoresAt)
                                          : room.scores + place * scores_of_groups(plan.groups);
    const std::int64_t lanes = groups * kWarp;
    double* const checkpoints = room.checkpoints + place * plan.checkpoints * 2 * plan.groups * kWarp;
    unsigned* const directions = room.directions + place * plan.piece * plan.groups * kBallots;
    const Search<T> search(call, of, {scores, scores + lanes, scores + 2 * lanes}, groups, warps);

    std::int64_t pieces = 1;
    while (pieces * plan.piece < of.frames) ++pieces;
    search.begin();
    for (std::int64_t piece = 0; piece < pieces; ++piece) {
        const std::int64_t begin = piece * plan.piece, stop = begin + plan.piece;
        if (piece > 0) search.save(checkpoints + (piece - 1) * 2 * lanes);
        search.advance(begin, stop < of.frames ? stop : of.frames, 0, of.labels,
                       piece == pieces - 1 ? directions : nullptr);
    }
    if (threadIdx.x == 0) {
        *state = search.last_state();
        if (*state < 0) call.status[p] = static_cast<std::int32_t>(Status::infeasible);
    }
    __syncthreads();
    if (*state < 0) return;
    __syncthreads();
    for (std::int64_t piece = pieces - 1; piece >= 0; --piece) {
        const std::int64_t begin = piece * plan.piece, stop = begin + plan.piece;
        const std::int64_t end = stop < of.frames ? stop : of.frames;
        if (piece < pieces - 1) {
            if (piece > 0) search.restore(checkpoints + (piece - 1) * 2 * lanes, begin);
            else search.begin();
            // A path moves up by a lane a frame at most, so lanes further down do not reach this one.
            search.advance(begin, end, *state / 2 - (end - begin), *state / 2, directions);
        }
        if (threadIdx.x < kWarp) {
            const std::int64_t before = search.trace_back(begin, end, directions, *state);
            __syncwarp();
            if (threadIdx.x == 0) *state = before;
        }
        __syncthreads();
    }
}

// A sum whose error does not grow with the number of terms (Neumaier).
class Sum {
   public:
    __device__ void add(double x) {
        const double next = sum_ + x;
        lost_ += fabs(sum_) >= fabs(x) ? (sum_ - next) + x : (x - next) + sum_;
        sum_ = next;
    }
    __device__ double total() const { return sum_ + lost_; }

   private:
    double sum_ = 0, lost_ = 0;
};

// Scores the path anew, along the values themselves. A block a problem, of one size, so that the total is added up in
// one order.
template <class T>
__global__ void __launch_bounds__(kThreads)
    write_paths(const ViterbiCall call, const ViterbiPlan plan, const Room room, std::int64_t first) {
    const FrameTeam<true> team;
    const std::int64_t place = blockIdx.x, p = first + place;
    const Problem<T> of = problem_at<T>(call, plan, room, p, place);
    const bool has_path = has_status(call, p, Status::ok);
    std::int64_t* const symbols = call.symbols + call.frame_at[p];
    T* const frame_scores = static_cast<T*>(call.frame_scores) + call.frame_at[p];
    std::int64_t *const starts = call.starts + call.label_at[p], *const stops = call.stops + call.label_at[p];
    T* const token_scores = static_cast<T*>(call.token_scores) + call.label_at[p];
    T* const confidence = static_cast<T*>(call.confidence) + call.label_at[p];

    const auto symbol_of = [&](std::int64_t t) {
        const std::int64_t state = of.path[t], i = state / 2;
        if (state % 2 != 0) return is_wildcard(call, of.label[i]) ? of.frame[t].best_label : of.label[i];
        const bool is_open = (i == 0 && call.open_begin) || (i == of.labels && call.open_end);
        return is_open ? std::int64_t{of.frame[t].best} : call.blank;
    };
    const auto score_of = [&](std::int64_t t, std::int64_t symbol) {
        return of.score(t, symbol) - of.frame[t].log_sum;
    };
    const auto is_held = [](double score) { return fabs(score) <= static_cast<double>(kLargest<T>); };
    Sum sum;
    bool fits = true;
    for (std::int64_t t = team.rank(); has_path && t < of.frames; t += team.size()) {
        const std::int64_t state = of.path[t], symbol = symbol_of(t);
        const double score = score_of(t, symbol);
        symbols[t] = symbol;
        frame_scores[t] = static_cast<T>(score);
        fits = fits && !of.is_raised(t, symbol) && is_held(static_cast<double>(frame_scores[t]));
        sum.add(score);
        if (state % 2 == 0 || (t > 0 && of.path[t - 1] == state)) continue;
        // The first frame of a token adds up all of them.
        Sum token;
        std::int64_t stop = t;
        for (; stop < of.frames && of.path[stop] == state; ++stop) token.add(score_of(stop, symbol_of(stop)));
        starts[state / 2] = t;
        stops[state / 2] = stop;
        token_scores[state / 2] = static_cast<T>(token.total());
        fits = fits && is_held(static_cast<double>(token_scores[state / 2]));
        confidence[state / 2] = static_cast<T>(exp(token.total() / static_cast<double>(stop - t)));
    }
    const double total = team.sum(sum.total()), beyond = team.sum(fits ? 0.0 : 1.0);
    if (team.rank() == 0 && has_path && !(beyond == 0 && fabs(total) <= kLargest<double>))
        call.status[p] = static_cast<std::int32_t>(Status::precision_limit);
    if (team.rank() == 0)
        call.total[p] = has_path ? total : has_status(call, p, Status::infeasible) ? -kInfinity<double> : kNaN<double>;
    // Lists have room for what the host has counted; an invalid problem counts wrong.
    const bool is_valid = !has_status(call, p, Status::invalid);
    const std::int64_t frames = is_valid ? of.frames : 0, labels = is_valid ? of.labels : 0;
    const std::int64_t frame_room = frames > call.frame_room ? frames : call.frame_room;
    const std::int64_t label_room = labels > call.label_room ? labels : call.label_room;
    for (std::int64_t t = (has_path ? frames : 0) + team.rank(); t < frame_room; t += team.size()) {
        symbols[t] = -1;
        frame_scores[t] = 0;
    }
    for (std::int64_t i = (has_path ? labels : 0) + team.rank(); i < label_room; i += team.size()) {
        starts[i] = stops[i] = -1;
        token_scores[i] = confidence[i] = 0;
    }
}

Room take_room(Arena& arena, const ViterbiPlan& plan, std::int64_t problems) {
    Room room{};
    room.frames = arena.take<Frame>(problems * plan.rows);
    room.paths = arena.take<std::int64_t>(problems * plan.rows);
    room.scores = arena.take<double>(plan.is_shared ? 0 : problems * scores_of_groups(plan.groups));
    room.checkpoints = arena.take<double>(problems * plan.checkpoints * 2 * plan.groups * kWarp);
    room.directions = arena.take<unsigned>(problems * plan.piece * plan.groups * kBallots);
    return room;
}

std::int64_t bytes_of(const ViterbiPlan& plan, std::int64_t problems) {
    Arena arena(nullptr);
    take_room(arena, plan, problems);
    return arena.used();
}

}  // namespace

ViterbiPlan plan_viterbi(const ViterbiCall& call, const ViterbiLimits& limits) {
    ViterbiPlan plan;
    plan.rows = 1;
    std::int64_t labels = 0;
    for (std::int64_t p = 0; p < call.count; ++p) {
        plan.rows = std::max(plan.rows, call.host_frame_counts[p]);
        labels = std::max(labels, call.host_label_counts[p]);
    }
    // A text of more labels than frames is not searched.
    plan.groups = std::min(labels, plan.rows) / kWarp + 1;
    plan.warps = static_cast<unsigned>(std::min<std::int64_t>(plan.groups, limits.warps));
    plan.is_shared = plan.groups <= limits.shared_groups;
    plan.piece = plan.rows;
    if (bytes_of(plan, call.count) > limits.workspace_bytes) {
        // The two scores of a lane at each checkpoint, and the ballots of a piece, then take equal room.
        constexpr double of_checkpoint = 2 * kWarp * sizeof(double), of_frame = kBallots * sizeof(unsigned);
        const double piece = std::sqrt(of_checkpoint / of_frame * static_cast<double>(plan.rows));
        plan.piece = std::min(plan.rows, static_cast<std::int64_t>(piece) + 1);
        plan.checkpoints = (plan.rows - 1) / plan.piece;
    }
    // As many as a grid can number.
    const std::int64_t most = std::max<std::int64_t>(std::numeric_limits<std::int32_t>::max() / plan.rows, 1);
    plan.problems_per_launch = std::clamp<std::int64_t>(limits.workspace_bytes / bytes_of(plan, 1), 1, most);
    plan.problems_per_launch = std::clamp<std::int64_t>(call.count, 1, plan.problems_per_launch);
    plan.workspace_bytes = bytes_of(plan, plan.problems_per_launch);
    return plan;
}

template <class T>
void run_viterbi(const ViterbiCall& call, const ViterbiPlan& plan, void* workspace, cudaStream_t stream) {
    Arena arena(workspace);
    const Room room = take_room(arena, plan, plan.problems_per_launch);
    const std::int64_t scores = plan.is_shared ? scores_of_groups(plan.groups) : 0;
    constexpr std::size_t slots = FrameTeam<true>::kSharedBytes;
    for (std::int64_t first = 0; first < call.count; first += plan.problems_per_launch) {
        const std::int64_t problems = std::min(plan.problems_per_launch, call.count - first);
        const auto grid = [&](std::int64_t blocks, std::size_t shared) {
            return Grid{static_cast<unsigned>(blocks), kThreads, shared};
        };
        launch(check_texts<T>, grid(problems, slots), stream, call, first);
        if (call.frames.columns > kMostByWarp) {
            launch(read_emissions<T, true>, grid(problems * plan.rows, slots), stream, call, plan, room, first,
                   plan.rows);
        } else {
            const std::int64_t blocks = (plan.rows + kRowsPerBlock - 1) / kRowsPerBlock;
            launch(read_emissions<T, false>, grid(problems * blocks, 0), stream, call, plan, room, first, blocks);
        }
        const std::size_t shared = kScoresAt + static_cast<std::size_t>(scores) * sizeof(double);
        launch(search_paths<T>, Grid{static_cast<unsigned>(problems), plan.warps * kWarp, shared}, stream, call, plan,
               room, first);
        launch(write_paths<T>, grid(problems, slots), stream, call, plan, room, first);
    }
}

template void run_viterbi<float>(const ViterbiCall&, const ViterbiPlan&, void*, cudaStream_t);
template void run_viterbi<double>(const ViterbiCall&, const ViterbiPlan&, void*, cudaStream_t);

}  // namespace coalign::cuda
