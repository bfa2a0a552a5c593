// The engine for many pairs: one in each lane of a vector.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/buffer.hpp"
#include "warping/bounds_kernels.hpp"
#include "warping/problem.hpp"

namespace coalign::warping {

template <class T>
struct Pair {
    Series<T> x, y;
};

template <class T>
class LaneGroup {
   public:
    LaneGroup(const Kernels<T>& kernels, const Options& options, std::int64_t dim, Pacer& pacer);

    // costs[l] of pairs[l], for 1 <= count <= width pairs. has_same_y: they are those of the last run. False when the
    // call was stopped.
    bool run(const Pair<T>* pairs, int count, T* costs, bool has_same_y = false);

   private:
    struct Shape {
        std::int64_t n = 0, m = 0;
        std::vector<Range> ranges;
    };

    bool load(const Pair<T>* pairs, int count, bool has_same_y);
    bool take_shape(const Pair<T>& pair, std::size_t lane);
    void pack(Series<T> Pair<T>::* side, std::int64_t from, std::int64_t count, T* out) const;
    void bound_block(std::int64_t first);
    bool run_block(std::int64_t first, T* costs);
    bool hopeless(std::int64_t first) const;

    const Kernels<T>& kernels_;
    const BoundKernels<T>& bound_kernels_;
    const Options& options_;
    const std::int64_t dim_;
    const Local local_;
    Pacer& pacer_;

    int count_ = 0;
    std::int64_t rows_ = 0, columns_ = 0;  // of the longest pair
    std::vector<Pair<T>> lanes_;           // width; the last pair fills the lanes that are left
    std::vector<Shape> shapes_;            // width; the first used_shapes_ are those of this group
    std::size_t used_shapes_ = 0;
    std::array<const Shape*, kMostLanes> shape_of_{};  // each lane's, where there is a window
    bool same_shape_ = false;
    std::int64_t stretch_;  // rows of x that are packed at a time

    struct Bounds {
        std::int64_t begin, end;              // columns that any live lane needs
        std::int64_t clear_begin, clear_end;  // columns where no live lane needs a mask
    };
    Bounds bounds_{};
    std::int64_t previous_begin_ = 0;
    Buffer<T> x_, y_, row_, state_;
    Buffer<LaneInt<T>> start_, stop_;
};

extern template class LaneGroup<float>;
extern template class LaneGroup<double>;

}  // namespace coalign::warping
