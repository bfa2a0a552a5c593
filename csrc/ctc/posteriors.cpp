#include "ctc/posteriors.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "ctc/careful.hpp"
#include "ctc/forward_backward.hpp"

namespace coalign::ctc {
namespace {

// The frames that a text needs: one for each label, and a blank between equal ones.
std::int64_t least_frames(const Labels& labels) {
    std::int64_t count = labels.length;
    for (std::int64_t i = 1; i < labels.length; ++i) count += labels.at[i] == labels.at[i - 1] ? 1 : 0;
    return count;
}

// A loss below this is computed again in float64. The roundings of T frames add up to about eps sqrt(T), up to 1.4
// times that at 200 frames with a loss of 0.04; eight times stays below 1e-5 of the loss.
double least_certain_loss(std::int64_t frames) {
    constexpr double rounding = std::numeric_limits<float>::epsilon() / 2;
    return 8 * rounding * std::sqrt(static_cast<double>(frames)) / 1e-5;
}

// Vector steps and bytes of a problem, as a measure of work.
double work_of(const Batch& batch, std::int64_t p) {
    const auto frames = static_cast<double>(batch.frames.rows_of(p));
    return frames *
           (8 * static_cast<double>(batch.targets.rows_of(p)) + static_cast<double>(batch.frames.columns) + 64);
}

template <class T>
class Worker {
   public:
    // `helpers` threads more may work on a problem.
    Worker(const Kernels<T>& kernels, const Batch& batch, const Posteriors<T>& out, Pulse& pulse, int helpers)
        : kernels_(kernels),
          batch_(batch),
          out_(out),
          pulse_(pulse),
          helpers_(helpers),
          pacer_(pulse),
          fast_(kernels, batch, pacer_),
          wide_(kernels_for<double>(kernels.isa), batch, pacer_),
          careful_(batch, pacer_) {}

    // False when the call is to stop.
    bool solve(std::int64_t p) {
        const Labels labels = batch_.labels(p);
        const MatrixView<T> frames = batch_.frames.template at<T>(p);
        const Room<T> gradient = out_.gradient != nullptr ? out_.gradient[p] : Room<T>{};
        const T weight = out_.weight != nullptr ? out_.weight[p] : T(1);
        double loss = 0;
        bool is_possible = true, is_sure = true;
        if (frames.rows < least_frames(labels)) {
            is_possible = false;
            if (const std::int64_t bad = find_bad(frames, labels); bad >= 0) return refuse(p, bad);
        } else if (frames.rows > 0) {
            CarefulFinding found;
            switch (solve_fast(p, loss, gradient, weight)) {
                case Outcome::stopped:
                    return false;
                case Outcome::bad:
                    return refuse(p, find_bad(frames, labels));
                case Outcome::unproved:
                    if (const std::int64_t bad = find_bad(frames, labels); bad >= 0) return refuse(p, bad);
                    if (!careful_.solve(p, found, gradient, weight)) return false;
                    loss = found.loss;
                    is_possible = found.is_possible;
                    is_sure = found.is_sure && found.loss_is_sure;
                    break;
                case Outcome::solved:
                    if (!make_certain(p, loss)) return false;
            }
            if (out_.occupancy != nullptr) {
                if (!careful_.occupy(p, found, out_.occupancy[p])) return false;
                is_sure &= found.is_sure;
            }
        }
        // Probabilities are at most 1; roundings may say more.
        if (batch_.input == Input::logits) loss = std::max(loss, 0.0);
        out_.loss[p] = static_cast<T>(loss);
        // A sum of finite scores may be beyond T.
        is_sure &= std::abs(out_.loss[p]) < std::numeric_limits<T>::infinity();
        out_.status[p] = is_sure ? Status::ok : Status::precision_limit;
        if (!is_possible) set_impossible(p, frames, labels);
        return true;
    }

   private:
    // One long recording goes to several threads, if they are not taken by others of the batch. The bits are the same.
    Outcome solve_fast(std::int64_t p, double& loss, const Room<T>& gradient, T weight) {
        if (helpers_ > 0 && gradient.data != nullptr) {
            fast_.load(p, gradient.data, gradient.row_stride, weight);
            if (fast_.segments() > 1 && solve_together(p, gradient, weight)) {
                loss = fast_.loss();
                return Outcome::solved;
            }
            if (!pacer_.proceed(0)) return Outcome::stopped;
        }
        return fast_.solve(p, loss, gradient.data, gradient.row_stride, weight);
    }

    // False where one worker is to find out what is wrong.
    bool solve_together(std::int64_t p, const Room<T>& gradient, T weight) {
        std::vector<std::unique_ptr<Worker>> others;
        fast_.plan_back_checkpoints();
        for (int k = 0; k < helpers_; ++k) {
            others.push_back(std::make_unique<Worker>(kernels_, batch_, out_, pulse_, 0));
            others.back()->fast_.load(p, gradient.data, gradient.row_stride, weight);
            others.back()->fast_.share(fast_);
        }
        std::atomic<bool> is_sound{true};
        const auto run = [&](std::int64_t tasks, auto&& task) {
            parallel_for(tasks, helpers_ + 1, pulse_, [&](int worker, std::int64_t number) {
                ForwardBackward<T>& fast = worker == 0 ? fast_ : others[static_cast<std::size_t>(worker - 1)]->fast_;
                if (is_sound && !task(fast, number)) is_sound = false;
            });
            return is_sound && !pulse_.stopped();
        };
        const std::int64_t blocks = (fast_.frames() - 1) / kFramesPerBlock + 1;
        if (!run(blocks, [](ForwardBackward<T>& fast, std::int64_t block) {
                return fast.sum_block(block * kFramesPerBlock) == Outcome::solved;
            }))
            return false;
        const ForwardBackward<T>* first = nullptr;
        if (!run(2, [&](ForwardBackward<T>& fast, std::int64_t back) {
                if (back == 1) return fast.go_back_for_checkpoints();
                first = &fast;
                return fast.go_forward(false) == Outcome::solved;
            }))
            return false;
        const ForwardBackward<T>& total = *first;
        if (&fast_ != first) fast_.share_total(total);
        for (const auto& other : others) other->fast_.share_total(total);
        return run(fast_.segments(),
                   [](ForwardBackward<T>& fast, std::int64_t segment) { return fast.solve_segment(segment); });
    }

    bool make_certain(std::int64_t p, double& loss) {
        if constexpr (std::is_same_v<T, float>) {
            if (std::abs(loss) >= least_certain_loss(batch_.frames.rows_of(p))) return true;
            double wide = 0;
            const Outcome outcome = wide_.solve(p, wide, nullptr, 0, 1);
            if (outcome == Outcome::solved) loss = wide;
            return outcome != Outcome::stopped;
        }
        return true;
    }

    bool refuse(std::int64_t p, std::int64_t bad) {
        out_.status[p] = Status::nan;
        out_.loss[p] = std::numeric_limits<T>::quiet_NaN();
        out_.bad[p] = bad;
        return true;
    }

    void set_impossible(std::int64_t p, const MatrixView<T>& frames, const Labels& labels) {
        out_.status[p] = Status::infeasible;
        out_.loss[p] = std::numeric_limits<T>::infinity();
        const auto clear = [&](const Room<T>& room, std::int64_t columns) {
            for (std::int64_t t = 0; t < frames.rows; ++t) std::fill_n(room.data + t * room.row_stride, columns, T(0));
        };
        if (out_.gradient != nullptr) clear(out_.gradient[p], frames.columns);
        if (out_.occupancy != nullptr) clear(out_.occupancy[p], 2 * labels.length + 1);
    }

    // The first value that is read and is NaN or +inf; -1 if there is none.
    std::int64_t find_bad(const MatrixView<T>& frames, const Labels& labels) const {
        const auto is_bad = [](T value) { return !(value < std::numeric_limits<T>::infinity()); };
        for (std::int64_t t = 0; t < frames.rows; ++t) {
            const T* const row = frames.data + t * frames.row_stride;
            std::int64_t first = frames.columns;
            if (batch_.input == Input::logits) {
                first = std::find_if(row, row + frames.columns, is_bad) - row;
            } else {
                if (is_bad(row[batch_.blank])) first = batch_.blank;
                for (std::int64_t i = 0; i < labels.length; ++i)
                    if (is_bad(row[labels.at[i]])) first = std::min(first, labels.at[i]);
            }
            if (first < frames.columns) return t * frames.columns + first;
        }
        return -1;
    }

    const Kernels<T>& kernels_;
    const Batch& batch_;
    const Posteriors<T>& out_;
    Pulse& pulse_;
    int helpers_;
    Pacer pacer_;
    ForwardBackward<T> fast_;
    ForwardBackward<double, T> wide_;
    Careful<T> careful_;
};

}  // namespace

template <class T>
Run find_posteriors(const Kernels<T>& kernels, const Batch& batch, int threads, double work_per_thread, Pulse& pulse,
                    const Posteriors<T>& out) {
    double work = 0;
    for (std::int64_t p = 0; p < batch.count(); ++p) work += work_of(batch, p);
    const int helpers = batch.count() == 1 ? useful_threads(work, threads, work_per_thread) - 1 : 0;
    return run_batch(
        batch.count(), work, threads, work_per_thread, pulse,
        [&] { return Worker<T>(kernels, batch, out, pulse, helpers); },
        [&](Worker<T>& worker, std::int64_t p, std::int64_t) {
            if (!worker.solve(p)) return p;
            pulse.add_done(1);
            return p + 1;
        });
}

template Run find_posteriors(const Kernels<float>&, const Batch&, int, double, Pulse&, const Posteriors<float>&);
template Run find_posteriors(const Kernels<double>&, const Batch&, int, double, Pulse&, const Posteriors<double>&);

}  // namespace coalign::ctc
