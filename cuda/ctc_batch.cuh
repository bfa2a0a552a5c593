// How the kernels of CTC read a batch: the teams of threads that share a frame or a text, and which texts are valid.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "core/arithmetic.cuh"
#include "core/block.cuh"
#include "ctc_batch.hpp"

namespace coalign::cuda {

// A warp, or all warps of a block; what they join comes out the same in all of
// them, and its order goes by their number alone.
template <bool kBlock>
class FrameTeam {
   public:
    static constexpr std::size_t kSharedBytes = kBlock ? kWarp * sizeof(double) : 0;

    __device__ int rank() const { return static_cast<int>(kBlock ? threadIdx.x : threadIdx.x % kWarp); }
    __device__ int size() const { return static_cast<int>(kBlock ? blockDim.x : kWarp); }

    template <class V, class Join>
    __device__ V join(V mine, Join joined) const {
#pragma unroll
        for (int lanes = 16; lanes > 0; lanes /= 2) mine = joined(mine, __shfl_xor_sync(kWholeWarp, mine, lanes));
        if constexpr (kBlock) {
            double* const slots = shared_memory<double>();
            __syncthreads();
            if (threadIdx.x % kWarp == 0) slots[threadIdx.x / kWarp] = static_cast<double>(mine);
            __syncthreads();
            mine = static_cast<V>(slots[0]);
            for (unsigned warp = 1; warp < blockDim.x / kWarp; ++warp) mine = joined(mine, static_cast<V>(slots[warp]));
        }
        return mine;
    }
    template <class V>
    __device__ V sum(V mine) const {
        return join(mine, [](V a, V b) { return a + b; });
    }
    template <class V>
    __device__ V most(V mine) const {
        return join(mine, [](V a, V b) { return greater(a, b); });
    }
    __device__ int least(int mine) const {
        return join(mine, [](int a, int b) { return a < b ? a : b; });
    }
};

// The scores of a problem.
template <class T>
__device__ const T* scores_of(const CtcBatch& batch, std::int64_t p) {
    const std::int64_t item = batch.frames.count == 1 ? 0 : p;
    return batch.frames.items != nullptr ? static_cast<const T*>(batch.frames.items[item])
                                         : static_cast<const T*>(batch.frames.data) + item * batch.frames.item_stride;
}

// Lengths and labels that lie on a GPU are looked at before anything else reads them. Also a `wildcard` is a label, if
// there is one.
__device__ inline bool is_valid(const CtcBatch& batch, std::int64_t p, const FrameTeam<true>& team,
                                const std::int64_t* wildcard = nullptr) {
    const std::int64_t frames = batch.frame_counts[p], labels = batch.label_counts[p];
    if (frames < 0 || frames > batch.frames.rows || labels < 0 || labels > batch.most_labels) return false;
    const std::int64_t* const label = batch.label_items[p];
    int valid = 1;
    for (std::int64_t i = team.rank(); i < labels; i += team.size()) {
        const bool is_symbol = label[i] >= 0 && label[i] < batch.frames.columns && label[i] != batch.blank;
        if (!is_symbol && (wildcard == nullptr || label[i] != *wildcard)) valid = 0;
    }
    return team.least(valid) != 0;
}

}  // namespace coalign::cuda
