#include "warping/subsequence.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>
#include <utility>

#include "core/isa_table.hpp"

namespace coalign::warping {
namespace {

// Columns whose frames are turned at a time: they stay in the first-level cache with a query of the usual length.
constexpr std::int64_t kStretch = 1 << 11;

template <class T>
class Finder {
   public:
    Finder(Isa isa, const Options& options, std::int64_t dim, Pulse& pulse)
        : kernels_(table_for<DiagonalKernels<T>>(isa)),
          options_(options),
          dim_(dim),
          local_(local_cost(options.metric, dim)),
          is_expanded_(local_ == Local::expanded_square_sum || local_ == Local::expanded_root_square_sum),
          pacer_(pulse) {}

    // False when the call was stopped.
    bool run(const Problem<T>& problem, std::int64_t most, std::vector<Match>& matches, Status& status) {
        matches.clear();
        if (!fill_last_row(problem)) return false;
        const bool overflows = bound_blocks(problem.y.length);
        if (!choose(most, problem.y.length, matches)) return false;
        if (static_cast<std::int64_t>(matches.size()) == most) status = Status::ok;
        else status = overflows ? Status::precision_limit : Status::infeasible;
        return true;
    }

   private:
    bool fill_last_row(const Problem<T>& problem) {
        const std::int64_t n = problem.x.length, m = problem.y.length;
        const std::int64_t slack = std::int64_t{kDiagonalVectors} * kernels_.width, room = whole(n) + slack;
        DiagonalPass<T> pass{};
        pass.dim = dim_;
        pass.rows = n;
        pass.columns = m;
        pass.x_stride = room;
        T* const x = x_.reserve(dim_ * room);
        for (std::int64_t d = 0; d < dim_; ++d) {
            for (std::int64_t i = 0; i < n; ++i) x[d * room + i] = problem.x.data[i * dim_ + d];
            std::fill(x + d * room + n, x + (d + 1) * room, T(0));
        }
        pass.x = x;
        if (is_expanded_) pass.x_square = squares(x, room, x_square_);
        T* const costs = costs_.reserve(3 * room);
        LaneInt<T>* const starts = starts_.reserve(3 * room);
        if (!fill_paced(costs, 3 * room, kInfinity, pacer_) || !fill_paced(starts, 3 * room, LaneInt<T>(0), pacer_))
            return false;
        for (std::int64_t k = 0; k < 3; ++k) {
            pass.cost[k] = costs + k * room;
            pass.start[k] = starts + k * room;
        }
        pass.last_cost = last_cost_.reserve(m);
        pass.last_start = last_start_.reserve(m);

        const std::int64_t stretch = std::max(kStretch, n), diagonals = n + m - 1;
        pass.y_stride = whole(stretch + n) + slack;
        pass.y = y_.reserve(dim_ * pass.y_stride);
        // Diagonals between two looks at the pulse.
        const std::int64_t stride = std::max<std::int64_t>(1, (1 << 20) / (n * dim_ + 1));
        for (std::int64_t first = 0; first < diagonals; first += stretch) {
            const std::int64_t end = std::min(first + stretch, diagonals);
            pass.latest = end - 1;
            if (!turn_columns(problem.y, pass)) return false;
            for (pass.begin = first; pass.begin < end; pass.begin = pass.end) {
                pass.end = std::min(end, pass.begin + stride);
                kernels_.advance[static_cast<std::size_t>(local_)](pass);
                if (!pacer_.proceed((pass.end - pass.begin) * (n / kernels_.width + 1) * dim_)) return false;
            }
        }
        return true;
    }

    // Frames of y from `latest` on backwards, a dimension each row.
    bool turn_columns(const Series<T>& y, DiagonalPass<T>& pass) {
        T* const out = y_.data();
        for (std::int64_t p = 0; p < pass.y_stride; ++p) {
            const std::int64_t j = pass.latest - p;
            const bool exists = j >= 0 && j < y.length;
            for (std::int64_t d = 0; d < dim_; ++d) out[d * pass.y_stride + p] = exists ? y.data[j * dim_ + d] : T(0);
        }
        if (is_expanded_) pass.y_square = squares(out, pass.y_stride, y_square_);
        return pacer_.proceed(pass.y_stride * dim_);
    }

    // The squared norms of frames, of which there are whole vectors.
    const T* squares(const T* frames, std::int64_t count, Buffer<T>& room) const {
        T* const out = room.reserve(count);
        kernels_.square(frames, dim_, count, out);
        return out;
    }

    std::int64_t whole(std::int64_t count) const {
        return (count + kernels_.width - 1) / kernels_.width * kernels_.width;
    }

    // The least cost of every block of ends. Whether a cost overflows: without a window, every end has a path.
    bool bound_blocks(std::int64_t m) {
        least_.clear();
        for (std::int64_t first = 0; first < m; first += kBlock) least_.push_back(least_of(first, m));
        const T* const cost = last_cost_.data();
        bool overflows = false;
        for (std::int64_t j = 0; j < m; ++j) overflows |= !(cost[j] < kInfinity);
        return overflows;
    }

    // Several at a time, so that they do not wait for each other.
    T least_of(std::int64_t first, std::int64_t m) const {
        constexpr std::int64_t lanes = 16;
        const T* const cost = last_cost_.data();
        T least[lanes];
        std::fill_n(least, lanes, kInfinity);
        std::int64_t j = first;
        const std::int64_t stop = std::min(first + kBlock, m);
        for (; j + lanes <= stop; j += lanes)
            for (std::int64_t l = 0; l < lanes; ++l) least[l] = cost[j + l] < least[l] ? cost[j + l] : least[l];
        for (; j < stop; ++j) least[0] = std::min(least[0], cost[j]);
        return *std::min_element(least, least + lanes);
    }

    // Paths that meet go on together, as ties are broken alike: a later end has no earlier start. So the ends whose
    // stretches share a frame with [start, stop) are those in it, and some that follow one another after it.
    bool choose(std::int64_t most, std::int64_t m, std::vector<Match>& matches) {
        T* const cost = last_cost_.data();
        while (static_cast<std::int64_t>(matches.size()) < most) {
            const auto block = std::min_element(least_.begin(), least_.end());
            if (!(*block < kInfinity) || static_cast<double>(*block) > options_.max_cost) break;
            const std::int64_t end = std::find(cost + (block - least_.begin()) * kBlock, cost + m, *block) - cost;
            const std::int64_t start = last_start_.data()[end], stop = end + 1;
            matches.push_back({start, stop, static_cast<double>(cost[end] + T(0))});
            std::int64_t after = stop;
            while (after < m && last_start_.data()[after] < stop) ++after;
            std::fill(cost + start, cost + after, kInfinity);
            for (std::int64_t first = start / kBlock * kBlock; first < after; first += kBlock)
                least_[static_cast<std::size_t>(first / kBlock)] = least_of(first, m);
            if (!pacer_.proceed(static_cast<std::int64_t>(least_.size()) + 2 * (after - start))) return false;
        }
        return true;
    }

    static constexpr T kInfinity = std::numeric_limits<T>::infinity();
    static constexpr std::int64_t kBlock = 256;

    const DiagonalKernels<T>& kernels_;
    const Options& options_;
    const std::int64_t dim_;
    const Local local_;
    const bool is_expanded_;
    Pacer pacer_;
    Buffer<T> x_, y_, x_square_, y_square_, costs_, last_cost_;
    Buffer<LaneInt<T>> starts_, last_start_;
    std::vector<T> least_;
};

}  // namespace

template <class T>
Run find_matches(Isa isa, const Pairs& pairs, const Options& options, std::int64_t most, double work_per_thread,
                 Pulse& pulse, std::vector<Match>* matches, Status* status) {
    double work = 0;
    for (std::int64_t p = 0; p < pairs.count(); ++p)
        work += static_cast<double>(pairs.x_length(p)) * static_cast<double>(pairs.y_length(p)) *
                static_cast<double>(pairs.dim());
    return run_tasks(
        pairs.count(), useful_threads(work, options.threads, work_per_thread), pulse,
        [&] { return Finder<T>(isa, options, pairs.dim(), pulse); },
        [&](Finder<T>& finder, std::int64_t p) { return finder.run(pairs.at<T>(p), most, matches[p], status[p]); });
}

template Run find_matches<float>(Isa, const Pairs&, const Options&, std::int64_t, double, Pulse&, std::vector<Match>*,
                                 Status*);
template Run find_matches<double>(Isa, const Pairs&, const Options&, std::int64_t, double, Pulse&, std::vector<Match>*,
                                  Status*);

}  // namespace coalign::warping
