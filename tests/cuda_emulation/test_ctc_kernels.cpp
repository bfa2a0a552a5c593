// The kernels of CTC, on the emulated GPU, against a forward-backward recursion in logarithms of long double.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "core/status.hpp"
#include "ctc.hpp"
#include "ctc_careful.cuh"
#include "ctc_oracle.hpp"
#include "cuda_runtime.h"
#include "noise.hpp"

using namespace coalign;
using namespace coalign::cuda;
using namespace coalign::testing;

namespace {

// How a batch lies in memory, and how it is solved.
struct Manner {
    bool gradient = true, items = false, shares_text = false, occupancy = false;
    std::int64_t column_gap = 1;
    Reduction reduction = Reduction::none;
    bool zero_infinity = false;
    CtcLimits limits{};
    std::uint64_t seed = 1;
    // Of some problems, what is on the device: on the host it is within the room.
    std::map<std::size_t, std::int64_t> device_frames, device_labels;
};

template <class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b, std::size_t count) {
    return count == 0 || std::memcmp(a.data(), b.data(), count * sizeof(T)) == 0;
}

template <class T>
struct Solution {
    std::vector<T> loss;
    std::vector<std::int32_t> status;
    std::vector<std::vector<T>> gradient;  // of each problem, its room's rows
    std::size_t launches = 0;

    bool operator==(const Solution& other) const {
        const auto same = [](const std::vector<T>& a, const std::vector<T>& b) {
            return a.size() == b.size() && same_bits(a, b, a.size());
        };
        return same(loss, other.loss) && status == other.status &&
               std::equal(gradient.begin(), gradient.end(), other.gradient.begin(), other.gradient.end(), same);
    }
};

// Rows of a gradient lie two elements apart, which stay noise.
constexpr std::int64_t kGap = 2;

template <class T>
Solution<T> solve(const std::vector<Case<T>>& cases, const Manner& manner) {
    const auto count = static_cast<std::int64_t>(cases.size());
    const std::int64_t columns = cases[0].shape.columns;
    std::int64_t most = 0;
    for (const Case<T>& c : cases) most = std::max(most, c.shape.frames);
    const std::int64_t gap = manner.items ? 1 : manner.column_gap, rows = most + 2, row = columns * gap;
    // What lies past a recording's frames, and between its columns, is NaN.
    std::vector<std::vector<T>> own;
    std::vector<T> padded(static_cast<std::size_t>(count * rows * row), std::numeric_limits<T>::quiet_NaN());
    std::vector<const void*> items;
    std::vector<std::int64_t> frames, labels, begins, text;
    for (const Case<T>& c : cases) {
        own.push_back(c.x);
        const std::size_t at = frames.size() * static_cast<std::size_t>(rows * row);
        for (std::size_t k = 0; k < c.x.size(); ++k) padded[at + k * static_cast<std::size_t>(gap)] = c.x[k];
        frames.push_back(c.shape.frames);
        labels.push_back(c.shape.labels);
        const bool is_new = begins.empty() || !manner.shares_text;
        begins.push_back(is_new ? static_cast<std::int64_t>(text.size()) : 0);
        if (is_new) text.insert(text.end(), c.labels.begin(), c.labels.end());
    }
    for (const auto& x : own) items.push_back(x.data());
    CtcCall call;
    call.count = count;
    call.frames = {padded.data(), nullptr, count, rows, columns, rows * row, row, gap};
    if (manner.items) call.frames = {nullptr, items.data(), count, most, columns, 0, columns, 1};
    call.frame_counts = call.host_frame_counts = frames.data();
    call.label_counts = call.host_label_counts = labels.data();
    std::vector<std::int64_t> device_frames(frames), device_labels(labels);
    for (const auto& [p, value] : manner.device_frames) device_frames[p] = value;
    for (const auto& [p, value] : manner.device_labels) device_labels[p] = value;
    call.frame_counts = device_frames.data();
    call.label_counts = device_labels.data();
    std::vector<const std::int64_t*> label_items;
    for (const std::int64_t begin : begins) label_items.push_back(text.data() + begin);
    call.label_items = label_items.data();
    call.most_labels = *std::max_element(labels.begin(), labels.end());
    call.wants_occupancy = manner.occupancy;
    call.blank = cases[0].blank;
    call.input = cases[0].input;
    call.reduction = manner.reduction;
    call.zero_infinity = manner.zero_infinity;
    const std::int64_t losses = manner.reduction == Reduction::none ? count : 1, stride = columns + kGap;
    const Noise<T> loss(losses);
    const Noise<std::int32_t> status(count);
    std::vector<Noise<T>> rooms;
    std::vector<void*> room_items;
    call.loss = loss.get();
    call.status = status.get();
    const auto rows_of = [&](std::size_t p) { return manner.items ? cases[p].shape.frames : rows; };
    if (manner.gradient) {
        call.gradient_row_stride = stride;
        if (manner.items) {
            for (std::size_t p = 0; p < cases.size(); ++p) rooms.emplace_back(rows_of(p) * stride);
            for (const Noise<T>& room : rooms) room_items.push_back(room.get());
            call.gradient_items = room_items.data();
        } else {
            rooms.emplace_back(count * rows * stride);
            call.gradient = rooms[0].get();
            call.gradient_rows = rows;
            call.gradient_item_stride = rows * stride;
        }
    }
    const CtcPlan plan = plan_ctc<T>(call, manner.limits);
    const Noise<unsigned char> memory(plan.workspace_bytes);
    emulation::machine.seed = manner.seed;
    CUstream_st stream;
    run_ctc<T>(call, manner.limits, plan, plan.offsets.data(), memory.get(), &stream);
    check(stream.pending() > 0, "nothing runs before its stream does");
    stream.synchronize();
    Solution<T> out;
    out.launches = plan.launches.size();
    out.loss.assign(loss.get(), loss.get() + losses);
    out.status.assign(status.get(), status.get() + count);
    const Noise<T> noise(1);
    for (std::size_t p = 0; manner.gradient && p < cases.size(); ++p) {
        const T* const room =
            manner.items ? rooms[p].get() : rooms[0].get() + static_cast<std::int64_t>(p) * rows * stride;
        out.gradient.emplace_back();
        for (std::int64_t t = 0; t < rows_of(p); ++t) {
            out.gradient[p].insert(out.gradient[p].end(), room + t * stride, room + t * stride + columns);
            for (std::int64_t k = 0; k < kGap; ++k)
                check(std::memcmp(room + t * stride + columns + k, noise.get(), sizeof(T)) == 0, "writes past a row");
        }
    }
    return out;
}

template <class T>
std::string name_of(const Case<T>& c, const std::string& what) {
    return "float" + std::to_string(8 * sizeof(T)) + ' ' + std::to_string(c.shape.frames) + 'x' +
           std::to_string(c.shape.columns) + ' ' + std::to_string(c.shape.labels) +
           (c.input == Input::logits ? " logits " : " scores ") + what;
}

// Problem `p` of a solution without reduction.
template <class T>
void compare(const Case<T>& c, const Solution<T>& got, std::size_t p, const std::string& what, const Answer& want) {
    const std::string name = name_of(c, what);
    const bool possible = !std::isinf(want.loss);
    check(got.status[p] == static_cast<std::int32_t>(possible ? Status::ok : Status::infeasible), name + " status");
    const Real loss = static_cast<Real>(got.loss[p]);
    check(possible ? std::abs(loss - want.loss) <= std::max(kSmallLoss * static_cast<Real>(c.shape.frames),
                                                            kLossTolerance<T> * std::abs(want.loss))
                   : std::isinf(loss),
          name + " loss " + std::to_string(loss) + " for " + std::to_string(want.loss));
    if (got.gradient.empty()) return;
    Real off = 0;
    for (std::size_t k = 0; k < want.gradient.size(); ++k) {
        const Real error = std::abs(static_cast<Real>(got.gradient[p][k]) - (possible ? want.gradient[k] : 0));
        off = error <= off ? off : error;
    }
    check(off <= kGradientTolerance<T>, name + " gradient off by " + std::to_string(off));
    check(std::all_of(got.gradient[p].begin() + static_cast<std::ptrdiff_t>(want.gradient.size()),
                      got.gradient[p].end(), [](T value) { return value == 0; }),
          name + " padding");
}

template <class T>
void compare(const Case<T>& c, const Solution<T>& got, std::size_t p, const std::string& what) {
    compare(c, got, p, what, solve_slowly(c));
}

// Problems of one input, blank and number of symbols; every layout, team and order of threads gives the same bits.
template <class T>
void test_shapes() {
    const std::vector<std::pair<std::int64_t, std::vector<Shape>>> batches{
        {3, {{1, 3, 0}, {1, 3, 1}, {2, 3, 1}, {3, 3, 2}, {0, 3, 0}, {0, 3, 2}, {40, 3, 12}, {5, 3, 4}}},
        {7, {{33, 7, 16}, {64, 7, 31}, {65, 7, 32}, {66, 7, 33}, {20, 7, 0}}},
        {30, {{70, 30, 63}, {72, 30, 64}, {17, 30, 3}}},
        {80, {{100, 80, 70}}},
        {1100, {{20, 1100, 9}, {3, 1100, 2}}}};
    unsigned seed = 0;
    for (const auto& [columns, shapes] : batches)
        for (const Input input : {Input::logits, Input::log_probs})
            for (const T scale : {T(1), T(30)}) {
                std::vector<Case<T>> cases;
                for (const Shape& shape : shapes) cases.emplace_back(shape, input, scale, ++seed);
                Manner manner;
                manner.column_gap = 1 + seed % 2;
                const Solution<T> got = solve(cases, manner);
                for (std::size_t p = 0; p < cases.size(); ++p) compare(cases[p], got, p, "in a batch");
                manner.seed = 99;
                manner.column_gap = 3 - manner.column_gap;
                manner.limits.workspace_bytes = 1;
                const Solution<T> again = solve(cases, manner);
                check(again == got, name_of(cases[0], "one at a time, in another order"));
                check(again.launches == cases.size() && got.launches == 1, "launches");
                manner.gradient = false;
                const Solution<T> alone = solve(cases, manner);
                check(alone.loss == got.loss && alone.status == got.status, name_of(cases[0], "the loss alone"));
                manner = {};
                manner.items = true;
                const Solution<T> list = solve(cases, manner);
                check(list.loss == got.loss && list.status == got.status, name_of(cases[0], "a list"));
                for (std::size_t p = 0; p < cases.size(); ++p)
                    check(same_bits(list.gradient[p], got.gradient[p], list.gradient[p].size()),
                          name_of(cases[p], "in a list"));
            }
}

// Several warps, and every number of positions that a thread holds.
template <class T>
void test_wide_texts() {
    for (const std::int64_t labels : {128, 130, 260}) {
        const Case<T> c({labels + 30, 300, labels}, Input::logits, T(2), 5);
        Manner manner;
        manner.limits.most_warps = labels == 128 ? 16 : 2;
        const Solution<T> got = solve<T>({c}, manner);
        compare(c, got, 0, "wide");
        manner.seed = 7;
        if (labels == 130) check(solve<T>({c}, manner) == got, name_of(c, "in another order"));
        if (labels != 128) continue;
        // Beside a longer text, which takes more warps.
        const std::vector<Case<T>> both{c, Case<T>({3, 300, 600}, Input::logits, T(2), 5)};
        check(solve(both, Manner{}).loss[0] == got.loss[0], name_of(c, "beside a longer text"));
    }
}

// What the quick way cannot take.
template <class T>
void test_careful_way() {
    constexpr T inf = std::numeric_limits<T>::infinity();
    for (const T never : {-inf, T(-1e4), T(-1e9), std::numeric_limits<T>::lowest()}) {
        const std::string what = "beside " + std::to_string(never);
        for (const Input input : {Input::log_probs, Input::logits}) {
            Case<T> sometimes({30, 6, 8}, input, T(1), 4), spare(sometimes);
            for (std::int64_t t = 0; t < 30; ++t) sometimes.at(t, t % 6) = never;
            std::replace(spare.labels.begin(), spare.labels.end(), std::int64_t{5}, std::int64_t{1});
            for (std::int64_t t = 0; t < 30; ++t) spare.at(t, 5) = never;
            const Solution<T> got = solve<T>({sometimes, spare}, Manner{});
            compare(sometimes, got, 0, what);
            compare(spare, got, 1, what);
        }
    }
    Case<T> needed({20, 4, 3}, Input::log_probs, T(1), 6), impossible(needed),
        short_one({2, 4, 1}, Input::log_probs, T(1), 6);
    for (std::int64_t t = 0; t < 20; ++t) needed.at(t, needed.labels[1]) = T(-1e9);
    for (std::int64_t t = 0; t < 20; ++t) impossible.at(t, impossible.labels[1]) = -inf;
    for (std::int64_t t = 0; t < 2; ++t) short_one.at(t, short_one.labels[0]) = T(-3e7);
    const std::vector<Case<T>> cases{needed, impossible, short_one};
    const Solution<T> got = solve(cases, Manner{});
    for (std::size_t p = 0; p < cases.size(); ++p) compare(cases[p], got, p, "needs it");
    Manner alone;
    alone.gradient = false;
    check(solve(cases, alone).loss == got.loss, "the careful loss alone");
    Case<T> empty_frame({20, 4, 3}, Input::logits, T(1), 6);
    for (std::int64_t k = 0; k < 4; ++k) empty_frame.at(7, k) = -inf;
    const Solution<T> empty = solve<T>({empty_frame}, Manner{});
    check(std::isinf(empty.loss[0]) && empty.status[0] == static_cast<std::int32_t>(Status::infeasible),
          "a frame without a symbol");
    check(std::count(empty.gradient[0].begin(), empty.gradient[0].end(), T(0)) == 22 * 4, "whose gradient is 0");
    // Texts that are too long for a block.
    Manner narrow;
    narrow.limits.most_positions = 8;
    std::vector<Case<T>> texts;
    for (const std::int64_t labels : {7, 8, 20, 0}) texts.emplace_back(Shape{26, 9, labels}, Input::logits, T(3), 8);
    const Solution<T> long_ones = solve(texts, narrow), others = solve(texts, Manner{});
    for (std::size_t p = 0; p < texts.size(); ++p) compare(texts[p], long_ones, p, "too long");
    check(long_ones.loss[0] == others.loss[0] && long_ones.gradient[0] == others.gradient[0], "not too long");
    narrow.seed = 5;
    check(solve(texts, narrow) == long_ones, "carefully, in another order");
}

// What was taken as 0 is more than all that is left: one frame that is improbable enough to be dropped, against two
// that are not.
template <class T>
void test_what_was_dropped_may_count() {
    constexpr T unit = T(726817);  // 2^20 ln 2
    Case<T> c({3, 3, 2}, Input::log_probs, T(1), 1);
    c.labels = {1, 2};
    c.blank = 0;
    for (std::int64_t t = 0; t < 3; ++t) c.at(t, 0) = 0;
    c.at(0, 1) = -unit - 100, c.at(0, 2) = -T(1e6);
    c.at(1, 1) = T(-0.9) * unit, c.at(1, 2) = 0;
    c.at(2, 1) = -T(1e6), c.at(2, 2) = T(-0.9) * unit;
    compare(c, solve<T>({c}, Manner{}), 0, "one dropped frame");
}

// Every alignment needs a score of an enormous size, and how it shares its other frames does not depend on that size:
// see test_enormous_scores of tests/native/test_ctc.cpp. Two doubles tell up to some size, and the status beyond it.
template <class T>
void test_enormous_scores() {
    for (const Input input : {Input::log_probs, Input::logits})
        for (const double never : {-1e9, -1e12, -1e20, -1e28, -1e38}) {
            const auto masked = [&](double by) {
                Case<T> c({20, 4, 3}, input, T(1), 6);
                c.labels = {1, 2, 1};
                for (const std::int64_t t : {0, 19})
                    for (std::int64_t k = 0; k < 3; ++k) c.at(t, k) = static_cast<T>(by);
                for (const std::int64_t k : {0, 1}) c.at(5, k) = static_cast<T>(by);
                for (const std::int64_t k : {0, 2}) c.at(9, k) = static_cast<T>(by);
                return c;
            };
            const Case<T> c = masked(never);
            const Solution<T> got = solve<T>({c}, Manner{});
            const std::string what = name_of(c, "needs " + std::to_string(never));
            Manner alone;
            alone.gradient = false;
            check(solve<T>({c}, alone).loss == got.loss, what + ", the loss alone");
            Answer want = solve_slowly(masked(-1e4));
            want.loss = solve_slowly(c).loss;
            if (never > -1e28) {
                compare(c, got, 0, what, want);
                continue;
            }
            check(got.status[0] == static_cast<std::int32_t>(Status::precision_limit), what + ", beyond two doubles");
            check(std::abs(got.loss[0] - want.loss) <= kLossTolerance<T> * want.loss, what + ", its loss");
        }
    constexpr T most = std::numeric_limits<T>::max();
    Case<T> beyond({4, 3, 1}, Input::log_probs, T(0), 1);
    for (T& value : beyond.x) value = -most / 2;
    const Solution<T> got = solve<T>({beyond}, Manner{});
    check(got.status[0] == static_cast<std::int32_t>(Status::precision_limit) && std::isinf(got.loss[0]),
          name_of(beyond, "a sum beyond the dtype"));
    for (const T value : got.gradient[0]) check(std::isfinite(value), name_of(beyond, "its gradient"));
}

// Recordings of every length up to several segments of checkpoints, in the room that each has.
template <class T>
void test_careful_lengths() {
    for (std::int64_t frames = 1; frames < 5000; ++frames)
        for (const std::int64_t labels : {0, 1, 40})
            check(Careful<T>::bytes_of(frames, labels) <=
                      cells_of(frames, labels) * rooms_of<T>(true) * static_cast<std::int64_t>(sizeof(Extended<T>)),
                  "room for " + std::to_string(frames) + " frames");
    std::vector<Case<T>> cases;
    for (std::int64_t frames = 1; frames < 30; ++frames) {
        cases.emplace_back(Shape{frames, 4, frames / 3}, Input::logits, T(1), 3);
        for (std::int64_t k = 0; k < 4; ++k) cases.back().at(frames / 2, k) -= T(1e9);
    }
    const Solution<T> got = solve(cases, Manner{});
    for (std::size_t p = 0; p < cases.size(); ++p) compare(cases[p], got, p, "carefully");
}

// As many ways as double from frame to frame: their sum outgrows the largest number unless it is normalised on the way.
void test_many_ways() {
    Case<float> c({240, 61, 60}, Input::log_probs, 0, 1);
    for (std::size_t i = 0; i < c.labels.size(); ++i) c.labels[i] = 1 + static_cast<std::int64_t>(i);
    const Solution<float> got = solve<float>({c}, Manner{});
    check(got.loss[0] < -127 * 0.7F, "more ways than a float32 can count");
    compare(c, got, 0, "many ways");
}

// Problems of a frame each, solved carefully in the room of one: none takes that of another, whoever comes first.
template <class T>
void test_short_careful_problems() {
    std::vector<Case<T>> cases;
    for (unsigned p = 0; p < 32; ++p) {
        cases.emplace_back(Shape{1, 3, 1}, Input::log_probs, T(1), p);
        cases[p].at(0, cases[p].labels[0]) = T(-2e6) - static_cast<T>(p);
    }
    for (const std::uint64_t seed : {1U, 2U, 3U, 4U}) {
        Manner manner;
        manner.gradient = false;
        manner.seed = seed;
        const Solution<T> got = solve(cases, manner);
        for (std::size_t p = 0; p < cases.size(); ++p) compare(cases[p], got, p, "one frame, carefully");
    }
}

template <class T>
void test_certainty() {
    for (const T margin : {T(8), T(20)}) {
        Case<T> c({100, 20, 10}, Input::logits, T(0.1), 2);
        for (std::int64_t i = 0; i < 10; ++i) c.labels[static_cast<std::size_t>(i)] = 1 + i;
        for (std::int64_t t = 0; t < 100; ++t)
            c.at(t, t % 10 < 5 ? c.labels[static_cast<std::size_t>(t / 10)] : 0) += margin;
        compare(c, solve<T>({c}, Manner{}), 0, "certain by " + std::to_string(margin));
    }
}

// Every way that a float32 loss is found again in float64, by the length of its text, alone and with a gradient.
void test_certain_texts() {
    for (const std::int64_t labels : {31, 32, 64, 256, 600, 1100}) {
        const std::int64_t each = labels < 256 ? 2 : 1;
        Case<float> c({each * labels, 20, labels}, Input::logits, 0.1F, 3);
        for (std::int64_t i = 0; i < labels; ++i) c.labels[static_cast<std::size_t>(i)] = 1 + i % 19;
        for (std::int64_t t = 0; t < c.shape.frames; ++t)
            c.at(t, t % each == 0 ? c.labels[static_cast<std::size_t>(t / each)] : 0) += 22;
        Manner alone;
        alone.gradient = false;
        const Solution<float> got = solve<float>({c}, alone);
        compare(c, got, 0, "certain");
        if (labels <= 64) check(solve<float>({c}, Manner{}).loss == got.loss, name_of(c, "certain, with a gradient"));
    }
}

// What is wrong with a problem leaves the others as they are.
template <class T>
void test_refusals() {
    std::vector<Case<T>> cases;
    for (unsigned p = 0; p < 5; ++p) cases.emplace_back(Shape{20, 6, 8}, Input::logits, T(1), p);
    const Solution<T> good = solve(cases, Manner{});
    cases[1].at(2, 4) = std::numeric_limits<T>::quiet_NaN();
    cases[1].at(7, 1) = std::numeric_limits<T>::quiet_NaN();
    cases[3].at(5, 0) = std::numeric_limits<T>::infinity();
    const Solution<T> got = solve(cases, Manner{});
    for (std::size_t p = 0; p < cases.size(); ++p) {
        if (p % 2 == 0) {
            check(got.loss[p] == good.loss[p] && got.gradient[p] == good.gradient[p], "beside bad values");
            continue;
        }
        check(got.status[p] == static_cast<std::int32_t>(Status::nan) && std::isnan(got.loss[p]), "a bad value");
        for (std::int64_t t = 0; t < 22; ++t)
            for (std::int64_t k = 0; k < 6; ++k) {
                const T value = got.gradient[p][static_cast<std::size_t>(t * 6 + k)];
                check(t < 20 ? std::isnan(value) : value == 0, "its gradient");
            }
    }
    // Values of other symbols are not read where scores are taken as they are.
    Case<T> unread({20, 6, 2}, Input::log_probs, T(1), 1);
    unread.labels = {1, 2};
    for (std::int64_t t = 0; t < 20; ++t) unread.at(t, 4) = std::numeric_limits<T>::quiet_NaN();
    Case<T> read(unread);
    read.at(9, 2) = std::numeric_limits<T>::quiet_NaN();
    const Solution<T> scores = solve<T>({unread, read}, Manner{});
    check(scores.status[0] == 0 && scores.status[1] == static_cast<std::int32_t>(Status::nan),
          "NaN of a symbol that the text has not, and has");
    check(std::none_of(scores.gradient[0].begin(), scores.gradient[0].end(), [](T v) { return std::isnan(v); }),
          "and no NaN in the gradient");
}

// Lengths and labels of the device are not those that the host was told of.
template <class T>
void test_invalid_texts() {
    std::vector<Case<T>> cases;
    for (unsigned p = 0; p < 9; ++p)
        cases.emplace_back(Shape{p == 0 ? 30 : 20, 6, p == 0 ? 12 : 5}, Input::logits, T(1), p);
    const Solution<T> good = solve(cases, Manner{});
    Manner manner;
    manner.device_frames = {{1, -1}, {2, 33}, {8, 7}};
    manner.device_labels = {{3, -1}, {4, 13}};
    cases[5].labels[2] = -1;
    cases[6].labels[4] = 6;
    cases[7].labels[0] = cases[7].blank;
    const Solution<T> got = solve(cases, manner);
    for (std::size_t p = 1; p < 8; ++p) {
        check(got.status[p] == static_cast<std::int32_t>(Status::invalid) && std::isnan(got.loss[p]),
              "an invalid text");
        check(std::all_of(got.gradient[p].begin(), got.gradient[p].end(), [](T v) { return std::isnan(v); }),
              "whose gradient is NaN");
    }
    check(got.loss[0] == good.loss[0] && got.gradient[0] == good.gradient[0], "beside invalid texts");
    cases[8].shape.frames = 7;
    cases[8].x.resize(7 * 6);
    compare(cases[8], got, 8, "with fewer frames than the host was told of");
}

// Occupancies are what the gradient of scores is less of.
template <class T>
void test_occupancy() {
    for (const Input input : {Input::log_probs, Input::logits}) {
        std::vector<Case<T>> cases;
        for (const std::int64_t labels : {3, 0, 18, 8}) cases.emplace_back(Shape{14, 5, labels}, input, T(1), 3);
        for (std::int64_t t = 0; t < 14; ++t) cases[3].at(t, cases[3].labels[1]) = T(-1e7);
        Manner manner;
        manner.occupancy = true;
        const Solution<T> got = solve(cases, manner);
        for (std::size_t p = 0; p < cases.size(); ++p) {
            const Answer want = solve_slowly(cases[p]);
            Real off = 0;
            for (std::int64_t t = 0; t < 14; ++t) {
                Real sum = 0;
                for (std::int64_t k = 0; k < 5; ++k)
                    sum += input == Input::logits ? std::exp(static_cast<Real>(cases[p].at(t, k))) : 0;
                for (std::int64_t k = 0; k < 5; ++k) {
                    const auto at = static_cast<std::size_t>(t * 5 + k);
                    const Real softmax =
                        input == Input::logits ? std::exp(static_cast<Real>(cases[p].at(t, k))) / sum : 0;
                    const Real occupied = std::isinf(want.loss) ? 0 : softmax - want.gradient[at];
                    off = std::max(off, std::abs(static_cast<Real>(got.gradient[p][at]) - occupied));
                }
            }
            check(off <= kGradientTolerance<T>, name_of(cases[p], "occupancy off by " + std::to_string(off)));
        }
    }
}

template <class T>
void test_reductions() {
    std::vector<Case<T>> cases;
    for (const std::int64_t labels : {3, 0, 8, 12})
        cases.emplace_back(Shape{labels == 8 ? 4 : 20, 5, labels}, Input::logits, T(1), 3);
    const Solution<T> each = solve(cases, Manner{});
    Manner manner;
    manner.reduction = Reduction::sum;
    check(std::isinf(solve(cases, manner).loss[0]), "a sum with an impossible text");
    manner.zero_infinity = true;
    const Real sum = static_cast<Real>(each.loss[0]) + each.loss[1] + each.loss[3];
    const Solution<T> added = solve(cases, manner);
    check(std::abs(added.loss[0] - sum) <= kLossTolerance<T> * sum, "a sum");
    check(added.gradient == each.gradient && added.status[2] == static_cast<std::int32_t>(Status::infeasible),
          "its gradient");
    manner.reduction = Reduction::mean;
    const Solution<T> mean = solve(cases, manner);
    const Real weights[] = {Real(1) / 3, 1, Real(1) / 8, Real(1) / 12};
    const Real want =
        (each.loss[0] * weights[0] + each.loss[1] * weights[1] + each.loss[3] * weights[3]) / Real(cases.size());
    check(std::abs(mean.loss[0] - want) <= kLossTolerance<T> * want, "a mean");
    for (std::size_t p = 0; p < cases.size(); ++p)
        for (std::size_t k = 0; k < each.gradient[p].size(); ++k)
            check(std::abs(mean.gradient[p][k] - each.gradient[p][k] * weights[p] / 4) <= kGradientTolerance<T> / 10,
                  "a mean's gradient");
    // One text for all.
    std::vector<Case<T>> same(3, Case<T>({20, 5, 6}, Input::logits, T(1), 4));
    for (std::size_t p = 0; p < 3; ++p) same[p].at(0, 1) += static_cast<T>(p);
    Manner shared;
    shared.shares_text = true;
    check(solve(same, shared) == solve(same, Manner{}), "one text for all");
}

template <class T>
void test_all() {
    test_shapes<T>();
    test_wide_texts<T>();
    test_careful_way<T>();
    test_what_was_dropped_may_count<T>();
    test_enormous_scores<T>();
    test_careful_lengths<T>();
    test_short_careful_problems<T>();
    test_certainty<T>();
    test_refusals<T>();
    test_invalid_texts<T>();
    test_occupancy<T>();
    test_reductions<T>();
}

}  // namespace

int main() {
    test_all<float>();
    test_all<double>();
    test_certain_texts();
    test_many_ways();
    return report();
}
