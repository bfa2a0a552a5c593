// The loss of one recording and its text, the gradient and the occupancies, by the kernels of an instruction set.
//
// Frames go through the kernels in blocks, while their values are in the first-level cache. The backward pass needs
// what the forward pass knew of each frame: of short recordings that is kept, and of long ones only the state at the
// beginning of each segment, from which it is computed again.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <type_traits>
#include <utility>
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "ctc/kernels.hpp"
#include "ctc/problem.hpp"

namespace coalign::ctc {

enum class Outcome { solved, stopped, bad, unproved };

// Computes in T what is given in X, the same or a narrower type; of narrower frames, the loss alone.
template <class T, class X = T>
class ForwardBackward {
   public:
    ForwardBackward(const Kernels<T>& kernels, const Batch& batch, Pacer& pacer)
        : kernels_(kernels), batch_(batch), pacer_(pacer) {}

    // A text that fits its frames. The gradient, of `weight` times the loss, has rows of `stride`; null: not wanted.
    Outcome solve(std::int64_t problem, double& loss, T* gradient, std::int64_t stride, T weight) {
        load(problem, gradient, stride, weight);
        const Outcome outcome = go_forward(true);
        if (outcome != Outcome::solved) return outcome;
        loss = loss_;
        return gradient == nullptr || go_back() ? Outcome::solved : Outcome::stopped;
    }

    // The same in parts, which several workers do side by side: frames are summed, then one worker goes forward and
    // one back, which leaves checkpoints at both ends of every segment, and then each segment stands by itself.
    std::int64_t frames() const { return total_frames_; }
    std::int64_t segments() const { return (total_frames_ - 1) / segment_ + 1; }
    double loss() const { return loss_; }

    void load(std::int64_t problem, T* gradient, std::int64_t stride, T weight) {
        given_ = batch_.frames.template at<X>(problem);
        total_frames_ = given_.rows;
        gradient_ = gradient;
        gradient_stride_ = stride;
        weight_ = weight;
        load_text(batch_.labels(problem));
        plan();
    }

    // A worker with the same problem. What they share is written by one at a time.
    void share(const ForwardBackward& other) {
        checkpoint_ = other.checkpoint_;
        back_checkpoint_ = other.back_checkpoint_;
        if (batch_.input == Input::log_probs) return;
        from_ = other.from_;
        sum_ = other.sum_;
    }
    // What the worker that went forward has found.
    void share_total(const ForwardBackward& other) {
        loss_ = other.loss_;
        inverse_total_ = other.inverse_total_;
        total_exponent_ = other.total_exponent_;
    }

    // Room for the checkpoints of the worker that goes back, before others share it.
    void plan_back_checkpoints() {
        back_checkpoint_ = back_checkpoints_.reserve((segments() - 1) * 2 * text_.positions);
    }

    // Makes the distributions of a block of frames, and the first part of the gradient.
    Outcome sum_block(std::int64_t begin) {
        Findings found;
        const Frames<T> block = frames_from(begin);
        if (batch_.input == Input::logits) {
            kernels_.find_sums({block, from_, sum_, gradient_, gradient_stride_, weight_}, found);
        } else if (gradient_ != nullptr) {
            for (std::int64_t t = block.begin; t < block.end; ++t)
                std::fill_n(gradient_ + t * gradient_stride_, given_.columns, T(0));
        }
        if (found.bad) return Outcome::bad;
        return proceed(gradient_ != nullptr ? 3 : 2, 0) ? Outcome::solved : Outcome::stopped;
    }

    // Keeps the last segment's alpha, where nothing else has been summed either, or checkpoints alone.
    Outcome go_forward(bool alone) {
        Findings found;
        double log_of_frames = 0;
        start(forward_, 0);
        for (std::int64_t segment = 0; segment < total_frames_; segment += segment_) {
            if (gradient_ != nullptr && segment > 0) copy_state(forward_, checkpoint_, segment, true);
            const std::int64_t end = std::min(segment + segment_, total_frames_);
            for (std::int64_t begin = segment; begin < end; begin += kFramesPerBlock) {
                if (alone)
                    if (const Outcome outcome = sum_block(begin); outcome != Outcome::solved) return outcome;
                const Stretch<T> block = stretch(segment, begin, forward_, alone && end == total_frames_);
                kernels_.emit(block, found);
                if (found.bad) return Outcome::bad;
                if (found.too_large) return Outcome::unproved;
                kernels_.advance(block, found);
                log_of_frames += log_of_block(block.frames.begin, block.frames.end);
                if (!proceed(0, 2)) return Outcome::stopped;
            }
        }
        return find_loss(log_of_frames, found.dropped) ? Outcome::solved : Outcome::unproved;
    }

    // Leaves the checkpoints of the way back; what it meets, the way forward meets too.
    bool go_back_for_checkpoints() {
        start(backward_, text_.labels);
        for (std::int64_t segment = (segments() - 1) * segment_; segment > 0; segment -= segment_) {
            if (!walk_back(segment, false)) return false;
            copy_state(backward_, back_checkpoint_, segment, true);
        }
        return true;
    }

    bool solve_segment(std::int64_t number) {
        const std::int64_t segment = number * segment_, end = segment + segment_;
        if (end < total_frames_) copy_state(backward_, back_checkpoint_, end, false);
        else start(backward_, text_.labels);
        std::fill_n(row_, text_.positions, T(0));
        return replay(segment, false) && walk_back(segment, true);
    }

   private:
    // About half of a second-level cache.
    static constexpr std::int64_t kAlphaBytes = std::int64_t{1} << 19;
    static constexpr std::int64_t kEmissionBytes = std::int64_t{1} << 23;
    static constexpr std::int64_t kCheckpointBytes = std::int64_t{1} << 26;
    static constexpr std::int64_t kCellBytes = sizeof(T) + sizeof(Exponent<T>);

    struct Cells {
        Buffer<T> mantissas;
        Buffer<Exponent<T>> exponents;
        Column<T> reserve(std::int64_t count) { return {mantissas.reserve(count), exponents.reserve(count)}; }
    };
    struct State {
        Column<T> label, blank;
    };

    static std::int64_t whole_blocks(std::int64_t frames) {
        return (frames + kFramesPerBlock - 1) / kFramesPerBlock * kFramesPerBlock;
    }

    void load_text(const Labels& labels) {
        const std::int64_t count = labels.length, width = kernels_.width;
        const std::int64_t positions = (count / width + 1) * width;
        LaneInt<T>* const symbol = symbol_.reserve(positions);
        LaneInt<T>* const skips = skips_.reserve(positions);
        for (std::int64_t i = 0; i < positions; ++i) {
            symbol[i] = static_cast<LaneInt<T>>(i < count ? labels.at[i] : batch_.blank);
            skips[i] = i > 0 && i < count && labels.at[i] != labels.at[i - 1] ? -1 : 0;
        }
        text_ = {count, positions, symbol, skips, batch_.blank, nullptr, nullptr, nullptr, 0};
        if (gradient_ == nullptr) return;
        sorted_.resize(static_cast<std::size_t>(count));
        for (std::int64_t i = 0; i < count; ++i) sorted_[static_cast<std::size_t>(i)] = {labels.at[i], i};
        std::sort(sorted_.begin(), sorted_.end());
        std::int64_t* const order = order_.reserve(3 * count + 1);
        std::int64_t *const group_begin = order + count, *const group_symbol = group_begin + count + 1;
        for (std::int64_t k = 0; k < count; ++k) {
            const auto [of, position] = sorted_[static_cast<std::size_t>(k)];
            if (k == 0 || of != group_symbol[text_.groups - 1]) {
                group_begin[text_.groups] = k;
                group_symbol[text_.groups++] = of;
            }
            order[k] = position;
        }
        group_begin[text_.groups] = count;
        text_.order = order;
        text_.group_begin = group_begin;
        text_.group_symbol = group_symbol;
    }

    // The frames of a segment, and the memory for them.
    void plan() {
        const std::int64_t positions = text_.positions, frames = whole_blocks(total_frames_);
        segment_ = kFramesPerBlock;
        keeps_emissions_ = false;
        if (gradient_ != nullptr) {
            segment_ = std::max(kFramesPerBlock, kAlphaBytes / (positions * kCellBytes));
            const double checkpoints = static_cast<double>(frames) / static_cast<double>(segment_) * 2 *
                                       static_cast<double>(positions * kCellBytes);
            if (checkpoints > static_cast<double>(kCheckpointBytes))
                segment_ = std::max(segment_, static_cast<std::int64_t>(std::sqrt(static_cast<double>(frames))));
            segment_ = std::min(whole_blocks(segment_), frames);
            keeps_emissions_ = frames <= kEmissionBytes / (positions * kCellBytes);
        }
        const std::int64_t kept = keeps_emissions_ ? frames : segment_;
        emission_ = emissions_.reserve(kept * positions);
        blank_emission_ = blank_emissions_.reserve(kept);
        alpha_ = gradient_ != nullptr ? alphas_.reserve(segment_ * positions) : Column<T>{};
        Column<T> state = states_.reserve(4 * positions);
        forward_ = {state, state.from(positions)};
        backward_ = {state.from(2 * positions), state.from(3 * positions)};
        from_ = sums_.reserve(2 * frames);
        sum_ = from_ + frames;
        power_ = powers_.reserve(frames);
        row_ = rows_.reserve(positions);
        if (gradient_ != nullptr) checkpoint_ = checkpoints_.reserve((segments() - 1) * 2 * positions);
    }

    // Probability 1 in one blank, and 0 elsewhere.
    void start(const State& state, std::int64_t blank) const {
        for (const Column<T>& column : {state.label, state.blank}) {
            std::fill_n(column.mantissa, text_.positions, T(0));
            std::fill_n(column.exponent, text_.positions, kLeastState<T>);
        }
        state.blank.mantissa[blank] = T(1);
        state.blank.exponent[blank] = Exponent<T>(0);
    }

    // Frames from `begin` on, a block of them.
    Frames<T> frames_from(std::int64_t begin) {
        const std::int64_t end = std::min(begin + kFramesPerBlock, total_frames_), columns = given_.columns;
        if constexpr (std::is_same_v<T, X>) {
            return {given_.data, given_.row_stride, columns, begin, end};
        } else {
            T* const rows = widened_.reserve(kFramesPerBlock * columns);
            for (std::int64_t t = begin; t < end; ++t)
                std::copy_n(given_.data + t * given_.row_stride, columns, rows + (t - begin) * columns);
            return {rows - begin * columns, columns, columns, begin, end};
        }
    }

    // The same, in the segment that begins at `segment`.
    Stretch<T> stretch(std::int64_t segment, std::int64_t begin, const State& state, bool with_alpha) {
        Stretch<T> out{text_,
                       frames_from(begin),
                       total_frames_,
                       segment,
                       from_,
                       power_,
                       batch_.input == Input::log_probs,
                       emission_,
                       blank_emission_,
                       state.label,
                       state.blank,
                       with_alpha ? alpha_ : Column<T>{}};
        if (keeps_emissions_) {
            out.emission = emission_.from(segment * text_.positions);
            out.blank_emission = blank_emission_.from(segment);
        }
        return out;
    }

    bool proceed(std::int64_t passes_over_rows, std::int64_t passes_over_states) {
        const std::int64_t of_states = 2 * (text_.positions / kernels_.width);
        const std::int64_t of_rows = given_.columns / kernels_.width + 1;
        return pacer_.proceed(kFramesPerBlock * (passes_over_states * of_states + passes_over_rows * of_rows));
    }

    // Copies between a state and the checkpoint at the beginning of a segment.
    void copy_state(const State& state, const Column<T>& checkpoint, std::int64_t segment, bool saves) const {
        const std::int64_t positions = text_.positions;
        const Column<T> saved = checkpoint.from((segment / segment_ - 1) * 2 * positions);
        const auto copy = [&](const Column<T>& column, const Column<T>& at) {
            const Column<T>&to = saves ? at : column, &of = saves ? column : at;
            std::copy_n(of.mantissa, positions, to.mantissa);
            std::copy_n(of.exponent, positions, to.exponent);
        };
        copy(state.label, saved);
        copy(state.blank, saved.from(positions));
    }

    // The logarithms of the frames' sums, less those of the powers of 2 that their emissions are relative to.
    double log_of_block(std::int64_t begin, std::int64_t end) const {
        // ln 2 in two parts: a power of up to 2^20 times the first is exact, and so is a score of that size less it.
        constexpr double high = 0x1.62e42feep-1, low = 0x1.a39ef35793c76p-33;
        const bool has_sums = batch_.input == Input::logits;
        double sum = 0, product = 1;
        for (std::int64_t t = begin; t < end; ++t) {
            const auto power = static_cast<double>(power_[t]);
            sum += (has_sums ? static_cast<double>(from_[t]) - power * high : -power * high) - power * low;
            // Sixteen sums of up to 2^60 values are no more than 2^960.
            if (has_sums) product *= static_cast<double>(sum_[t]);
        }
        return sum + std::log(product);
    }

    // False where what was taken as 0 may count.
    bool find_loss(double log_of_frames, bool dropped) {
        const std::int64_t last = text_.labels;
        const Column<T>&blank = forward_.blank, &label = forward_.label;
        Exponent<T> exponent = blank.exponent[last];
        double mantissa = static_cast<double>(blank.mantissa[last]);
        if (last > 0) {
            const Exponent<T> of_label = label.exponent[last - 1];
            const Exponent<T> larger = std::max(exponent, of_label);
            mantissa = std::ldexp(mantissa, clamped(exponent - larger)) +
                       std::ldexp(static_cast<double>(label.mantissa[last - 1]), clamped(of_label - larger));
            exponent = larger;
        }
        // All exponents are relative to the product of the frames' best scores, and a lattice has less than 3 ways on
        // from each state: ways through what was taken as 0 have at most 2^(1.6 T + limit) together.
        const double ways = 1.6 * static_cast<double>(total_frames_);
        const double limit = static_cast<double>(dropped ? kLeastEmission<T> : kNoEmission<T>) + ways + 80;
        if (!(mantissa > 0) || static_cast<double>(exponent) < limit) return false;
        inverse_total_ = static_cast<T>(1 / mantissa);
        total_exponent_ = exponent;
        loss_ = log_of_frames - std::log(mantissa) - static_cast<double>(exponent) * std::numbers::ln2;
        return true;
    }
    static int clamped(Exponent<T> exponent) {
        return static_cast<int>(std::max(exponent, static_cast<Exponent<T>>(-10000)));
    }

    // Computes a segment's alpha again, and its emissions if they are not kept.
    bool replay(std::int64_t segment, bool has_emissions) {
        Findings found;
        if (segment > 0) copy_state(forward_, checkpoint_, segment, false);
        else start(forward_, 0);
        const std::int64_t end = std::min(segment + segment_, total_frames_);
        for (std::int64_t begin = segment; begin < end; begin += kFramesPerBlock) {
            const Stretch<T> block = stretch(segment, begin, forward_, true);
            if (!has_emissions) kernels_.emit(block, found);
            kernels_.advance(block, found);
            if (!proceed(0, 2)) return false;
        }
        return true;
    }

    // Goes back through a segment, whose emissions and alpha are there, or only for the state before it.
    bool walk_back(std::int64_t segment, bool has_alpha) {
        Findings found;
        const Occupancies<T> out{inverse_total_, total_exponent_, row_, gradient_, gradient_stride_, weight_};
        const std::int64_t end = std::min(segment + segment_, total_frames_);
        for (std::int64_t begin = (end - 1) / kFramesPerBlock * kFramesPerBlock; begin >= segment;
             begin -= kFramesPerBlock) {
            const Stretch<T> block = stretch(segment, begin, backward_, has_alpha);
            if (!has_alpha) kernels_.emit(block, found);
            kernels_.retreat(block, out, found);
            if (!proceed(0, 2)) return false;
        }
        return true;
    }

    bool go_back() {
        start(backward_, text_.labels);
        std::fill_n(row_, text_.positions, T(0));
        const std::int64_t last = (segments() - 1) * segment_;
        for (std::int64_t segment = last; segment >= 0; segment -= segment_)
            if ((segment < last && !replay(segment, keeps_emissions_)) || !walk_back(segment, true)) return false;
        return true;
    }

    const Kernels<T>& kernels_;
    const Batch& batch_;
    Pacer& pacer_;

    Text<T> text_{};
    MatrixView<X> given_{};
    std::int64_t total_frames_ = 0;
    T* gradient_ = nullptr;
    std::int64_t gradient_stride_ = 0;
    T weight_ = 1;
    std::int64_t segment_ = 0;
    bool keeps_emissions_ = false;
    double loss_ = 0;
    T inverse_total_ = 0;
    Exponent<T> total_exponent_ = 0;

    Buffer<LaneInt<T>> symbol_, skips_;
    std::vector<std::pair<std::int64_t, std::int64_t>> sorted_;
    Buffer<std::int64_t> order_;
    Cells emissions_, blank_emissions_, alphas_, states_, checkpoints_, back_checkpoints_;
    Buffer<T> sums_, rows_, widened_;
    Buffer<Exponent<T>> powers_;
    Column<T> emission_, blank_emission_, alpha_, checkpoint_, back_checkpoint_;
    State forward_, backward_;
    T *from_ = nullptr, *sum_ = nullptr, *row_ = nullptr;
    Exponent<T>* power_ = nullptr;
};

}  // namespace coalign::ctc
