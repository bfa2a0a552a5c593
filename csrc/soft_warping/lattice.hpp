// The lattice of one pair: forward for the value, backward for how probable it is that a path visits each cell.
//
// Going backward needs every diagonal's probabilities. Those of a stretch are recorded at a time, stretch by stretch
// from the last, each computed again from the two diagonals before it, which going forward has kept. Where the
// stretches are many, only those of a few of them are kept, and so on: memory is proportional to the frames, not to the
// cells.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "core/parallel.hpp"
#include "soft_warping/kernels.hpp"
#include "warping/strips.hpp"

namespace coalign::soft_warping {

using warping::Problem;
using warping::Range;
using warping::Series;

// Bytes of probabilities that are recorded at a time: they stay in the second-level cache.
inline constexpr std::int64_t kRecordedBytes = std::int64_t{1} << 19;

// Where the results of going backward go, if anywhere.
template <class T>
struct Backward {
    T *grad_x = nullptr, *grad_y = nullptr;  // (N, D) and (M, D), both or neither
    T* visits = nullptr;                     // (N, M), of zeros

    bool is_wanted() const { return grad_x != nullptr || visits != nullptr; }
};

// Computes in T what is given and taken in `Given`.
template <class T, class Given>
class Lattice {
   public:
    Lattice(const Kernels<T>& kernels, Local local, std::int64_t dim, std::int64_t recorded_bytes, Pacer& pacer)
        : kernels_(kernels), local_(local), dim_(dim), recorded_bytes_(recorded_bytes), pacer_(pacer) {}

    enum class Outcome { solved, too_large, stopped };
    // `window`: the ranges of the rows, with a path through them; null without a window. There is no value where cost
    // over gamma is too large to be counted in T.
    Outcome solve(const Problem<Given>& problem, const std::vector<Range>* window, double gamma, double& value,
                  const Backward<Given>& out);

   private:
    static constexpr std::int64_t kPieces = 32;
    static constexpr std::size_t kDeepest = 8;

    std::int64_t diagonals() const { return n_ + m_ - 1; }
    Range rows(std::int64_t k) const;
    Cells<T> cells(std::int64_t k) const;
    Flows<T> flows(std::int64_t k) const;
    Frames<T> frames(std::int64_t k) const;
    std::int64_t recorded(std::int64_t k) const { return (k - first_recorded_) * record_ - rows(k).start; }

    bool load(const std::vector<Range>* window);
    bool turn(const Series<Given>& side, std::int64_t stride, bool reversed, T* out, std::vector<T>& lengths);
    void turn_costs(std::int64_t k);
    bool bound_rows(const std::vector<Range>* window);
    void enter();
    bool forward(std::int64_t begin, std::int64_t end, bool record);
    bool backward(std::int64_t begin, std::int64_t end);
    void write_gradient(T* gradient, const T* frames, std::int64_t stride, bool reversed, const std::vector<T>& lengths,
                        std::int64_t length, Given* out) const;
    void keep(std::int64_t k, T* out) const;
    void return_to(std::int64_t k, const T* kept);
    std::int64_t piece_of(std::int64_t diagonals) const;
    bool sweep(std::int64_t begin, std::int64_t end, std::size_t depth);
    bool go_back(std::int64_t begin, std::int64_t end, std::size_t depth);

    const Kernels<T>& kernels_;
    const Local local_;
    const std::int64_t dim_, recorded_bytes_;
    Pacer& pacer_;

    Problem<Given> problem_{};
    std::int64_t n_ = 0, m_ = 0, x_stride_ = 0, y_stride_ = 0;
    std::vector<T> x_lengths_, y_lengths_, frame_;  // of frames, for the cosine
    std::vector<Range> rows_;                       // of each diagonal, where there is a window
    std::int64_t widest_ = 0;                       // rows of a diagonal
    T scale_ = 0;

    Buffer<T> x_, y_, cells_, flows_, grad_x_, grad_y_, record_up_, record_left_, visits_;
    std::int64_t stride_ = 0;          // of arrays over rows
    std::int64_t record_ = 0;          // of recorded diagonals
    std::int64_t stretch_ = 0;         // diagonals that are recorded at a time
    std::int64_t first_recorded_ = 0;  // the first of them
    std::array<Buffer<T>, kDeepest> kept_;
    Backward<Given> out_;
};

extern template class Lattice<float, float>;
extern template class Lattice<double, double>;
extern template class Lattice<double, float>;

}  // namespace coalign::soft_warping
